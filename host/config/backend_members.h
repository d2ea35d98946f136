// SPDX-License-Identifier: MIT
//
// The members of a configured backend, one by one, for code that writes and reads a backend whole. It stops compiling
// where config::Backend has a member that is not named here. Stateless; any thread.
#pragma once

#include "config/config.h"

namespace lemonade::config {

/// Calls visit(name, member) for each member except the places in a file where it was said.
template <class AnyBackend, class Visit>
void eachMember(AnyBackend& backend, Visit visit) {
  auto& [id, name, host, port, weight, max_connections, priority, enabled, zone, labels, options, source,
         address_source] = backend;
  visit("id", id);
  visit("name", name);
  visit("host", host);
  visit("port", port);
  visit("weight", weight);
  visit("max_connections", max_connections);
  visit("priority", priority);
  visit("enabled", enabled);
  visit("zone", zone);
  visit("labels", labels);
  visit("options", options);
}

}  // namespace lemonade::config
