// SPDX-License-Identifier: MIT
//
// What one configured backend comes to, now that its name is known to lead somewhere: the backends that really run, one
// for each address. Pure functions.
#pragma once

#include "balance/resolution.h"
#include "config/config.h"

#include <string>
#include <vector>

namespace lemonade::app {

/// One backend that runs.
struct Endpoint {
  config::Backend configured;  ///< of a service with the host, port, weight and priority of its record
  Address address;             ///< with its port; of family AF_UNSPEC while the name has none
};

/// One for each address; at least one, which has no address while none is known. From the records of a service come
///   priority: the configured one plus that of the record;
///   weight: the configured one times that of the record, of which 0 counts as 1, and no more than 65535.
/// A host of a service that has no address is one without an address.
std::vector<Endpoint> endpoints(const config::Backend& configured, const std::vector<Target>& targets);

/// What is known after an answer: the answer, and of what it says nothing what was known before.
std::vector<Target> updated(const std::vector<Target>& known, std::vector<Target> answer);

/// For people, of at most a few targets: "10.0.0.1,10.0.0.2"; of a service "a.example:80 10.0.0.1 priority 10 weight
/// 5".
std::string textOf(const std::vector<Target>& targets);

}  // namespace lemonade::app
