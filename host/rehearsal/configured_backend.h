// SPDX-License-Identifier: MIT
//
// A configured backend taken whole: what the pool is told of it, and how it travels to a rehearsal. Each takes all
// members apart by name and stops compiling where a member is added that it does not know, so that what is rehearsed is
// what runs. Stateless; any thread.
#pragma once

#include "balance/backend.h"
#include "config/config.h"

namespace lemonade {

/// What the pool is told. The port goes with the address.
BackendSettings settingsOf(const config::Backend& configured);

/// Calls visit(name, member) for each member but the places in a file where they were said.
template <class AnyBackend, class Visit>
void eachMember(AnyBackend& configured, Visit visit) {
  auto& [id, name, host, port, weight, max_connections, priority, enabled, zone, labels, options, source,
         address_source] = configured;
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

}  // namespace lemonade
