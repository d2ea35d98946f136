// SPDX-License-Identifier: MIT
//
// What the kernel is to forward, of what listeners and pools say at this moment: for the worker that it asks, and for
// the table in it. Both name a backend by the same number, its slot, which stays with it for as long as it has flows.
// Nothing here talks to the kernel. Control thread only.
#pragma once

#include "balance/pool.h"
#include "kernel/marks.h"
#include "kernel/rules.h"
#include "kernel/table.h"
#include "proxy/flow_plan.h"
#include "proxy/listener.h"

#include <bitset>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

namespace lemonade::app {

class KernelPlans {
 public:
  using Listeners = std::vector<std::shared_ptr<proxy::Listener>>;
  using Pools = std::vector<std::shared_ptr<Pool>>;

  /// Backends keep the slots that connections of the process before have them by.
  void inherit(const std::vector<kernel::TablePlan::Backend>& backends);

  /// A connection of the process before names this slot, whose backend may be none of ours: no backend gets it anew.
  void avoid(std::uint32_t slot) noexcept {
    if (slot <= kernel::kLastSlot) avoided_.set(slot);
  }

  /// For the worker: those of the listeners that the kernel forwards for, the backends of the pools to which these
  /// lead, and those of any pool that leave and have sessions. Backends that are new get slots.
  std::shared_ptr<proxy::FlowPlan> flows(std::uint16_t tag, const Listeners& listeners, const Pools& pools);
  /// For the table, which asks at this queue. flows is what flows() has made of the same.
  static kernel::TablePlan table(const proxy::FlowPlan& flows, const Listeners& listeners, std::uint16_t queue);

  /// The table is as these flows have it: slots of backends that are not among them are free again.
  void settle(const proxy::FlowPlan& flows);
  /// Backends that leave were among the last flows(): their slots are to be freed once their flows are over.
  bool leaving() const noexcept { return leaving_; }

 private:
  void addPool(const std::shared_ptr<Pool>& pool, bool used, proxy::FlowPlan& plan);
  std::uint32_t slotOf(const Backend& backend);

  std::unordered_map<std::uint64_t, std::uint32_t> slots_;  // by identity of the backend
  std::bitset<kernel::kLastSlot + 1> taken_;                // those of them, and those that are no backend's
  std::bitset<kernel::kLastSlot + 1> avoided_;              // also where they are nobody's
  std::uint32_t next_slot_ = kernel::kFirstSlot;
  bool leaving_ = false;
};

}  // namespace lemonade::app
