// SPDX-License-Identifier: MIT
#include "proxy/flow_trials.h"

#include <new>
#include <utility>

namespace lemonade::proxy {

void FlowTrials::begin(std::uint64_t flow, std::uint32_t slot, Trial::Part part) noexcept try {
  flows_.insert_or_assign(flow, Taking{std::move(part), slot});
} catch (const std::bad_alloc&) {
}

void FlowTrials::answered(std::uint64_t flow, std::uint64_t took_ns) noexcept {
  const auto found = flows_.find(flow);
  if (found == flows_.end()) return;
  found->second.part.answered(took_ns);
  flows_.erase(found);
}

void FlowTrials::look(const kernel::ExchangeTimes& times, std::uint64_t now) noexcept {
  for (auto& [flow, taking] : flows_) {
    const auto since = times.waitsSince(flow, taking.slot, now);
    if (since && std::exchange(taking.since, *since) != *since) taking.part.asked(*since);
  }
}

// Of an end in order nobody can say here whether the client had asked.
void FlowTrials::end(std::uint64_t flow, CloseReason reason) noexcept {
  const auto found = flows_.find(flow);
  if (found == flows_.end()) return;
  if (reason == CloseReason::kBackendReset)
    found->second.part.failed();
  else if (reason == CloseReason::kClientReset)
    found->second.part.left();
  flows_.erase(found);
}

}  // namespace lemonade::proxy
