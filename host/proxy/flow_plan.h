// SPDX-License-Identifier: MIT
//
// Where the kernel forwards for us: the listeners whose first packets we are asked about, and the numbers of the
// backends in the table. Control makes a new one for each change; immutable, any thread.
#pragma once

#include "balance/pool.h"
#include "kernel/tuple.h"
#include "proxy/listener.h"

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

namespace lemonade::proxy {

struct FlowPlan {
  struct Entrance {
    Address address;  ///< of all addresses of the family, or of one
    std::shared_ptr<Listener> listener;
    bool keeps_source = false;
  };
  struct Place {
    std::shared_ptr<Backend> backend;
    std::shared_ptr<Pool> pool;
  };

  std::uint16_t tag = 0;  ///< the upper half of our marks
  bool closed = false;    ///< the table leads nobody in any more: the balancer stops
  std::vector<Entrance> entrances;
  std::unordered_map<std::uint32_t, Place> places;  ///< by slot, also of backends that leave and have sessions
  std::unordered_map<const Backend*, std::uint32_t> slots;

  /// Where a first packet comes in; null where that is no listener of these.
  const Entrance* find(const kernel::Tuple& tuple) const noexcept;
  /// The table leads a client with this first packet to a backend.
  bool leads(const kernel::Tuple& tuple) const noexcept { return !closed && find(tuple) != nullptr; }
  /// The slot of a backend; 0 where the table does not have it.
  std::uint32_t slotOf(const Backend& backend) const noexcept;
};

}  // namespace lemonade::proxy
