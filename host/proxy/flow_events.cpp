// SPDX-License-Identifier: MIT
//
// What conntrack says of flows, and what that comes to.
#include "balance/feedback.h"
#include "base/clock.h"
#include "kernel/marks.h"
#include "proxy/flow_set.h"

#include <algorithm>

namespace lemonade::proxy {

using kernel::TcpState;

namespace {

constexpr std::uint64_t kResentAfter = 500'000'000;  // clients wait a second before they send the first packet again

}  // namespace

void FlowSet::handleEvent(const kernel::FlowEvent& event) noexcept {
  using What = kernel::FlowEvent::What;
  now_ = clock_.nowNs();
  Flow* flow = find(event.entry.original);
  if (flow != nullptr && flow->state == Flow::State::kEnding) {
    closeEnding();
    flow = nullptr;
  }
  if (flow == nullptr) {
    // One that nobody was asked about, if it is still there: events may be older than what was read since.
    if (event.what == What::kDestroy || !event.entry.assured || yields_) return;
    if (const auto entry = gate_->find(event.entry.original); entry && entry->id == event.entry.id)
      takeIn(*entry, Origin::kTable);
    return;
  }
  if (flow->isWithoutEntry()) return;  // of an entry that is gone
  if (event.what == What::kDestroy) {
    if (flow->entry == event.entry.id) handleGone(*flow, event.entry);
    return;
  }
  if (event.what == What::kNew && !bind(*flow, event.entry)) return;
  if (flow->entry == event.entry.id) follow(*flow, event.entry);
}

/// The entry is that of a flow which waits for it. False, and the flow is over, where the table has sent its packet
/// elsewhere: it went by weights while we were about to answer. Or it was lost, and another process was asked about the
/// next one.
bool FlowSet::bind(Flow& flow, const kernel::FlowEntry& entry) noexcept {
  if (flow.entry != 0) return true;
  if (kernel::slotOf(entry.mark) != plan_->slotOf(*flow.target) || (yields_ && isOfLaterPacket(flow))) {
    close(flow, CloseReason::kAbandoned);
    return false;
  }
  flow.entry = entry.id;
  return true;
}

/// The entry of the flow began so long after its packet was sent that the client must have sent another one.
bool FlowSet::isOfLaterPacket(const Flow& flow) noexcept {
  const std::uint64_t ago = now_ - flow.sent_at;
  if (ago < kResentAfter) return false;
  const auto entry = gate_->find(*flow.tuple);
  return entry && entry->start_unix_ns > unixNs() - ago + kResentAfter;
}

/// Makes a flow of an entry that we know nothing of; null where it is none of ours, over, or only half open: whoever
/// floods the table past us gets no flows.
Flow* FlowSet::takeIn(const kernel::FlowEntry& entry, Origin origin) noexcept {
  if (!entry.isOpen()) return nullptr;
  const auto* entrance = plan_->find(entry.original);
  const auto place = plan_->places.find(kernel::slotOf(entry.mark));
  if (entrance == nullptr || place == plan_->places.end()) return nullptr;
  // One of a process before whose backend is not among ours has a number that may be another one's by now.
  if (entry.reply.source() != place->second.backend->address()) return nullptr;
  const bool counted = isCountedBefore(entry);
  entrance->listener->admission().enterAnyway();
  Flow* const flow = make(entry.original, *entrance, *place->second.pool, counted);
  if (flow == nullptr) return nullptr;
  if (!counted && origin == Origin::kTable) meter_.cameUnasked(*flow);
  flow->target = place->second.backend.get();
  feedback::occupy(*flow->target);
  flow->entry = entry.id;
  flow->attempt = 1;
  flow->sent_at = now_;
  resume(*flow, entry, counted);
  return flow;
}

/// The flow was connected before we heard of it.
void FlowSet::resume(Flow& flow, const kernel::FlowEntry& entry, bool counted) noexcept {
  const std::uint64_t lived = entry.start_unix_ns != 0 ? unixNs() - entry.start_unix_ns : 0;
  flow.came_at = flow.connected_at = std::max<std::uint64_t>(now_ - std::min(now_, lived), 1);
  flow.state = Flow::State::kConnected;
  flow.lent = counted && isUnsettled();
  if (!counted) flow.target->counters(worker_).sessions.add();
}

void FlowSet::follow(Flow& flow, const kernel::FlowEntry& entry) noexcept {
  if (entry.state == TcpState::kClose) return handleReset(flow, entry);
  if (flow.state == Flow::State::kConnecting && entry.seen_reply) connect(flow);
  if (gave_way_ && flow.state == Flow::State::kConnected) return letGoOf(flow);
  const bool half_open = entry.state == TcpState::kSynSent || entry.state == TcpState::kSynReceived ||
                         entry.state == TcpState::kSynSent2 || entry.state == TcpState::kNone;
  if (!half_open && flow.state == Flow::State::kConnected) leaveList(flow);
  if (entry.state == TcpState::kTimeWait) finish(flow, CloseReason::kDone);
}

void FlowSet::connect(Flow& flow) noexcept {
  flow.state = Flow::State::kConnected;
  meter_.connected(flow, now_);
}

void FlowSet::handleReset(Flow& flow, const kernel::FlowEntry& entry) noexcept {
  const bool by_backend = (entry.mark & kernel::kResetBit) != 0;
  if (flow.state == Flow::State::kConnecting) return handleEarlyReset(flow, by_backend);
  finish(flow, by_backend ? CloseReason::kBackendReset : CloseReason::kClientReset);
}

void FlowSet::handleEarlyReset(Flow& flow, bool by_backend) noexcept {
  by_backend ? failConnect(flow, true) : close(flow, CloseReason::kAbandoned);
}

// The entry has timed out, or somebody has deleted it, or nothing but a reset has answered the first packet.
void FlowSet::handleGone(Flow& flow, const kernel::FlowEntry& entry) noexcept {
  meter_.moved(flow, entry);
  if (flow.state == Flow::State::kConnecting)
    return entry.state == TcpState::kClose ? handleEarlyReset(flow, !entry.counted || entry.packets_out != 0)
                                           : failConnect(flow, false);
  const bool idle =
      entry.state != TcpState::kLastAck && entry.state != TcpState::kTimeWait && entry.state != TcpState::kClose;
  const auto timeout = flow.hastened ? CloseReason::kHalfCloseTimeout : CloseReason::kIdleTimeout;
  close(flow, idle ? timeout : CloseReason::kDone);
  if (idle) gate_->reset(entry);
}

void FlowSet::handleLoss() noexcept {
  meter_.lostEvents();
  if (look(Origin::kTable)) closeMissing(true);
}

/// Of flows that the look has not found, which are over: at once where events were lost. Else the event is on its way,
/// often because of this very look, for the kernel gives up an entry whose time is over when somebody comes by.
void FlowSet::closeMissing(bool lost) noexcept {
  for (auto next = flows_.begin(); next != flows_.end();) {
    Flow& flow = (next++)->second;
    const bool known = flow.state == Flow::State::kConnecting || flow.state == Flow::State::kConnected;
    if (known && !flow.found && (lost || flow.missed))
      close(flow, flow.connected_at != 0 ? CloseReason::kDone : CloseReason::kAbandoned);
  }
}

/// Has flows follow what conntrack knows of all of them. False where conntrack could not be asked.
bool FlowSet::look(Origin origin) noexcept {
  if (gate_ == nullptr) return false;
  now_ = clock_.nowNs();
  for (auto& [tuple, flow] : flows_) {
    flow.missed = !flow.found;
    flow.found = flow.entry == 0;
  }
  const bool seen = gate_->each([&](const kernel::FlowEntry& entry) {
    Flow* flow = find(entry.original);
    if (flow == nullptr && !yields_) flow = takeIn(entry, origin);
    if (flow == nullptr || flow->isWithoutEntry() || !bind(*flow, entry) || flow->entry != entry.id) return;
    flow->found = true;
    meter_.moved(*flow, entry);
    hasten(*flow, entry);
    follow(*flow, entry);
  });
  closeEnding();
  return seen;
}

// Conntrack has one timeout for connections that are half closed, whichever side it was, and that is the idle timeout:
// a client that is done may wait for its answer. Where the backend is done the entry gets the shorter one. What moves
// later undoes that, until the next look.
void FlowSet::hasten(Flow& flow, const kernel::FlowEntry& entry) noexcept {
  if (!entry.backend_finished || (entry.state != TcpState::kFinWait && entry.state != TcpState::kCloseWait)) return;
  const std::uint64_t timeout = flow.listener->settings().half_close_timeout_ns.load(std::memory_order_relaxed);
  const std::uint64_t seconds = (timeout + 999'999'999) / 1'000'000'000;
  if (seconds == 0 || entry.seconds_left <= seconds) return;
  flow.hastened = true;
  gate_->hasten(entry, static_cast<std::uint32_t>(seconds));
}

}  // namespace lemonade::proxy
