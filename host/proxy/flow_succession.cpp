// SPDX-License-Identifier: MIT
//
// How the flows of one process become those of the next, while clients come all the time. Both hear of all of them, and
// each is counted by one: its connect by the process that was asked about it; what it moves, and its end, by the one
// before until that gives way, and from then on by the one after.
#include "base/clock.h"
#include "proxy/flow_set.h"

#include <utility>

namespace lemonade::proxy {

void FlowSet::yield(bool yields) noexcept {
  if (std::exchange(yields_, yields) && !yields) (void)look(Origin::kUnknown);
}

void FlowSet::adopt(bool counted) noexcept {
  before_until_ = counted ? kNotSettled : 0;
  (void)look(Origin::kUnknown);
}

// Clients of those that stay are about to hear from a backend. Who is held is asked about anew, as is who has to come
// again because a backend did not answer.
void FlowSet::giveWay() noexcept {
  (void)look(Origin::kUnknown);
  yields_ = gave_way_ = true;
  drains_.clear();
  for (auto next = flows_.begin(); next != flows_.end();) {
    Flow& flow = (next++)->second;
    if (flow.state != Flow::State::kConnecting) letGoOf(flow);
  }
}

// The one before has counted what flows had moved a moment ago.
void FlowSet::settle() noexcept {
  if (!isUnsettled()) return;
  (void)look(Origin::kUnknown);
  before_until_ = unixNs();
  for (auto& [tuple, flow] : flows_) flow.lent = false;
}

/// That a flow came, and its connect, has been counted by the process before. It was asked about it, or has taken it
/// in.
bool FlowSet::isCountedBefore(const kernel::FlowEntry& entry) const noexcept {
  return isUnsettled() || (entry.start_unix_ns != 0 && entry.start_unix_ns <= before_until_);
}

void FlowSet::letGoOf(Flow& flow) noexcept {
  Drains::forget(flow);
  endTrial(flow, CloseReason::kDone);
  leaveList(flow);
  forgetPlace(flow);
  meter_.left(flow);
  flows_.erase(*flow.tuple);
}

void FlowSet::letGo() noexcept {
  while (!flows_.empty()) {
    Flow& flow = flows_.begin()->second;
    if (flow.state == Flow::State::kHeld && gate_ != nullptr) gate_->send(flow.packet, 0);
    letGoOf(flow);
  }
  due_ = count_at_ = 0;
  gate_ = nullptr;
  plan_ = nowhere_;  // which kept backends and pools
}

}  // namespace lemonade::proxy
