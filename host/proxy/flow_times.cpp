// SPDX-License-Identifier: MIT
//
// When something is due for a flow, and what becomes of it then.
#include "base/clock.h"
#include "kernel/marks.h"
#include "proxy/flow_set.h"

#include <algorithm>

namespace lemonade::proxy {

namespace {

constexpr std::uint64_t kRetryPatience = 10'000'000'000;  // clients come again after 1, 3 and 7 seconds
constexpr std::uint64_t kLook = 50'000'000;               // at flows that connect, at most so often
constexpr std::uint64_t kCountEvery = 15'000'000'000;     // what live flows have moved, and whose backend is done
constexpr std::uint64_t kCountSoonest = 1'000'000'000;    // where half_close_timeout is shorter than that
constexpr std::uint64_t kCountShare = 1'000;              // of the time is spent on that at most, one part in so many

std::uint64_t connectTimeout(const Flow& flow) noexcept {
  return flow.pool->settings().connect_timeout_ns.load(std::memory_order_relaxed);
}

}  // namespace

void FlowSet::handleDue(std::uint64_t now) noexcept {
  now_ = now;
  handleDrains(now);
  if (gate_ == nullptr || due_ == 0 || now < due_) return;
  due_ = 0;
  if (half_open_at_ != 0 && half_open_at_ <= now) handleHalfOpen(now);
  if (half_open_at_ != 0) noteDue(half_open_at_);
  handleHeld(now);
  count(now);
}

void FlowSet::noteHalfOpen(std::uint64_t at) noexcept {
  if (half_open_at_ == 0 || at < half_open_at_) half_open_at_ = at;
  noteDue(half_open_at_);
}

// Pools have timeouts of their own, so all of them are looked at; not more often than every kLook, however many they
// are.
void FlowSet::handleHalfOpen(std::uint64_t now) noexcept {
  half_open_at_ = 0;
  for (auto next = half_open_.begin(); next != half_open_.end();) handleUnanswered((next++)->half_open, now);
  handleUnanswered(retrying_, now);
}

void FlowSet::handleUnanswered(FlowList& flows, std::uint64_t now) noexcept {
  for (auto next = flows.begin(); next != flows.end();) {
    Flow& flow = *next++;
    if (flow.state == Flow::State::kConnected) continue;
    const std::uint64_t due =
        flow.sent_at + (flow.state == Flow::State::kRetrying ? kRetryPatience : connectTimeout(flow));
    if (due > now)
      noteHalfOpen(std::max(due, now + kLook));
    else if (flow.state == Flow::State::kRetrying)
      close(flow, CloseReason::kConnectFailed);
    else
      handleTimeout(flow);
  }
}

// Where conntrack has never had an entry, the packet came no further than this machine: no port was free to masquerade
// from, or a rule has dropped it. That is no backend's fault. Nor is it where the entry is none of ours: a reload has
// turned the listener into a relay's, to which the packet went.
void FlowSet::handleTimeout(Flow& flow) noexcept {
  const auto entry = entryOf(flow);
  if (flow.entry == 0 && !(entry && kernel::isBackendMark(entry->mark, plan_->tag)))
    return close(flow, CloseReason::kAbandoned);
  if (entry && entry->seen_reply) {  // in time, and the event is on its way
    if (bind(flow, *entry)) follow(flow, *entry);
    return;
  }
  if (entry) (void)gate_->forget(*entry);
  failConnect(flow, false);
}

// Its entry is gone: what the client sends next is asked about anew, and goes to another backend; or it is refused,
// where there have been enough.
void FlowSet::failConnect(Flow& flow, bool refused) noexcept {
  meter_.connectFailed(flow, refused, now_);
  if (refused && !flow.retries) return close(flow, CloseReason::kConnectFailed);  // its client has been told
  if (gave_way_) return letGoOf(flow);                                            // its client comes to another process
  if (!plan_->leads(*flow.tuple)) return close(flow, CloseReason::kConnectFailed);
  endTrial(flow, CloseReason::kConnectFailed);
  flow.failed = flow.target;
  flow.entry = 0;
  forgetPlace(flow);
  flow.sent_at = now_;
  enter(flow, Flow::State::kRetrying);
  if (flow.attempt <= retriesOf(flow)) meter_.at(*flow.pool)->at.counters.retries.add();
  noteHalfOpen(now_ + kRetryPatience);
}

void FlowSet::handleHeld(std::uint64_t now) noexcept {
  if (held_.empty()) return;
  serveHeld();
  for (auto next = held_.begin(); next != held_.end();) {
    Flow& flow = *next++;
    const std::uint64_t timeout = flow.pool->settings().queue_timeout_ns.load(std::memory_order_relaxed);
    if (now - flow.came_at >= std::max(timeout, flow.awaits_table ? kTablePatience : 0))
      refuse(flow, flow.packet, CloseReason::kQueueTimeout);
  }
  if (!held_.empty()) noteDue(now + kHeldLook);
}

void FlowSet::handleDrains(std::uint64_t now) noexcept {
  while (Drain* drain = drains_.begin(now))
    for (auto& [tuple, flow] : flows_)
      if (drain->concerns(flow)) drains_.join(*drain, flow);
  while (Served* session = drains_.next(now)) cut(static_cast<Flow&>(*session), CloseReason::kDrain);
}

std::uint64_t FlowSet::countEvery() const noexcept {
  std::uint64_t every = kCountEvery;
  for (const auto& entrance : plan_->entrances)
    if (const std::uint64_t timeout =
            entrance.listener->settings().half_close_timeout_ns.load(std::memory_order_relaxed);
        timeout != 0)
      every = std::min(every, std::max(timeout, kCountSoonest));
  return every;
}

// Conntrack tells what a flow has moved when it is over; of those that live long it is asked now and then.
void FlowSet::count(std::uint64_t now) noexcept {
  if (flows_.empty()) {
    count_at_ = 0;
    return;
  }
  if (count_at_ <= now) {
    const std::uint64_t before = threadCpuNs();
    if (look(Origin::kTable)) closeMissing(false);
    const std::uint64_t took = threadCpuNs() - before;
    count_at_ = now + std::max(countEvery(), took * kCountShare);
  }
  noteDue(count_at_);
}

std::uint64_t FlowSet::nextDue() const noexcept {
  const std::uint64_t drain = drains_.nextDue();
  return due_ == 0 || (drain != 0 && drain < due_) ? drain : due_;
}

}  // namespace lemonade::proxy
