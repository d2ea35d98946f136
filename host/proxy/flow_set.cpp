// SPDX-License-Identifier: MIT
#include "proxy/flow_set.h"

#include "base/log.h"
#include "kernel/marks.h"
#include "kernel/packet.h"

#include <array>
#include <new>
#include <span>
#include <utility>

namespace lemonade::proxy {

namespace {

constexpr std::uint64_t kHalfOpenPatience = 1'000'000'000;  // then a handshake may be ended for another client

/// Where the client of a flow connected to.
class FlowDestination final : public LocalAddressSource {
 public:
  explicit FlowDestination(const kernel::Tuple& tuple) noexcept : tuple_(tuple) {}
  Address localAddress() const noexcept override { return tuple_.destination(); }

 private:
  const kernel::Tuple& tuple_;
};

}  // namespace

FlowSet::FlowSet(std::uint32_t worker, Mailbox& mailbox, const Clock& clock)
    : worker_(worker), clock_(clock), picker_(worker), meter_(worker, mailbox) {}

FlowSet::~FlowSet() { letGo(); }

Flow* FlowSet::find(const kernel::Tuple& tuple) noexcept {
  const auto found = flows_.find(tuple);
  return found != flows_.end() ? &found->second : nullptr;
}

/// Null where memory is out; the place in the admission is given back then. counted: another process has counted that
/// it came, and its totals are ours.
Flow* FlowSet::make(const kernel::Tuple& tuple, const FlowPlan::Entrance& entrance, Pool& pool, bool counted) noexcept {
  Flow* flow = nullptr;
  try {
    if (meter_.at(pool) != nullptr) {
      const auto [made, is_new] = flows_.try_emplace(tuple);
      flow = &made->second;
      flow->tuple = &made->first;
    }
  } catch (const std::bad_alloc&) {
  }
  if (flow == nullptr) {
    entrance.listener->at(worker_).counters.no_memory.add();
    entrance.listener->admission().leave();
    return nullptr;
  }
  flow->listener = entrance.listener.get();
  flow->pool = &pool;
  flow->keeps_source = entrance.keeps_source;
  flow->came_at = now_;
  if (count_at_ == 0) count_at_ = now_ + countEvery();
  noteDue(count_at_);
  meter_.came(*flow, counted);
  return flow;
}

// ---- the first packet ----------------------------------------------------------------------------------------------

void FlowSet::handlePacket(const kernel::QueuedPacket& packet) noexcept {
  now_ = clock_.nowNs();
  const auto tuple = kernel::parseSyn(packet.bytes);
  const auto* entrance = tuple && !plan_->closed ? plan_->find(*tuple) : nullptr;
  if (entrance == nullptr) return gate_->send(packet.id, packet.mark);  // not for us: as if nobody had been asked
  if (Flow* const known = find(*tuple); known != nullptr) return handleRepeated(*known, *entrance, packet.id);
  begin(*tuple, *entrance, packet.id);
}

// The client sends its first packet again, or has come to an end and comes again from the same port.
void FlowSet::handleRepeated(Flow& flow, const FlowPlan::Entrance& entrance, std::uint32_t packet) noexcept {
  if (flow.state == Flow::State::kHeld) {
    gate_->drop(flow.packet);  // which may be gone: whoever takes away a hook of nftables empties all queues
    flow.packet = packet;
    return;
  }
  if (flow.state == Flow::State::kRetrying)
    return flow.attempt > retriesOf(flow) ? refuse(flow, packet, CloseReason::kConnectFailed)
                                          : void(place(flow, packet));
  if (flow.state == Flow::State::kConnecting && flow.entry == 0)
    return gate_->send(packet, markOf(flow, plan_->slotOf(*flow.target)));
  const kernel::Tuple tuple = *flow.tuple;
  close(flow, flow.connected_at != 0 ? CloseReason::kDone : CloseReason::kAbandoned);
  begin(tuple, entrance, packet);
}

void FlowSet::begin(const kernel::Tuple& tuple, const FlowPlan::Entrance& entrance, std::uint32_t packet) noexcept {
  if (!admit(*entrance.listener)) {
    gate_->drop(packet);  // the client sends it again after a second
    return meter_.dropped(*entrance.listener, true);
  }
  Flow* const flow = make(tuple, entrance, entrance.listener->pool());
  if (flow == nullptr) return gate_->drop(packet);
  place(*flow, packet);
}

bool FlowSet::admit(Listener& listener) noexcept {
  Admission& admission = listener.admission();
  if (admission.enter()) return true;
  int looked = 0;
  for (auto& flow : listener.at(worker_).half_open) {
    if (now_ - flow.sent_at < kHalfOpenPatience || ++looked > kMostLooked) break;
    const auto entry = gate_->find(*flow.tuple);
    if (entry && entry->assured) continue;  // it is complete, and the event is on its way
    if (entry) (void)gate_->forget(*entry);
    close(flow, CloseReason::kAbandoned);
    return admission.enter();
  }
  if (admission.noteFull(now_))
    log::warning("proxy", "max_connections is reached, further clients wait",
                 {{"listener", listener.name()}, {"max_connections", admission.limit()}});
  return false;
}

/// Finds the flow a backend and lets its packet go there. False where it has to wait on.
bool FlowSet::place(Flow& flow, std::uint32_t packet) noexcept {
  Tried tried;
  if (flow.failed != nullptr) tried.add(*flow.failed);
  Picked picked = pick(flow, tried);
  if (picked.what == Picked::What::kNone && std::exchange(flow.failed, nullptr) != nullptr) {
    tried.clear();  // nobody else is left: the one that did not answer gets another chance
    picked = pick(flow, tried);
  }
  if (picked.what == Picked::What::kBackend) {
    send(flow, packet, plan_->slotOf(*flow.target));
    return true;
  }
  const bool rejected = picked.what == Picked::What::kRejected;
  if (rejected || (!flow.awaits_table && !mayQueue(*flow.pool, picked))) {
    const auto without = flow.attempt != 0 ? CloseReason::kConnectFailed : CloseReason::kNoBackend;
    refuse(flow, packet, rejected ? CloseReason::kRejected : without);
    return true;
  }
  hold(flow, packet);
  return false;
}

/// Has the pool pick until it is a backend that the table can lead the flow to, which is its target then.
Picked FlowSet::pick(Flow& flow, Tried& tried) noexcept {
  const Address client = flow.tuple->source();
  const FlowDestination destination(*flow.tuple);
  const PickScope::May reaches = [&](const Backend& one) { return &one != flow.failed && isReachable(flow, one); };
  const Picker::Asker asker{client, flow.tuple->destination_port, flow.listener->name(), destination, flow.attempt,
                            tried,  {times_ != nullptr, &reaches}};
  flow.awaits_table = false;
  for (std::size_t n = 0; n <= Tried::kMost; ++n) {
    const auto [picked, shadow] = picker_.pick(*meter_.at(*flow.pool), asker, now_);
    if (picked.what != Picked::What::kBackend) return picked;
    take(flow, picked, shadow);
    if (reaches(*flow.target)) return picked;
    flow.awaits_table = flow.awaits_table || flow.target->address().family() == flow.tuple->family;
    tried.add(*flow.target);
    meter_.abandoned(flow, now_);
    forgetPlace(flow);
  }
  const Picked picked = flow.pool->pickWhere(reaches);
  if (picked.what == Picked::What::kBackend) take(flow, picked, {});
  return picked;
}

void FlowSet::take(Flow& flow, const Picked& picked, const ShadowTie& shadow) noexcept {
  flow.target = picked.backend;
  flow.cookie = picked.cookie;
  flow.generation = picked.generation;
  flow.shadow = shadow;
  if (picked.trial != nullptr)
    trials_.begin(times_->idOf(*flow.tuple), plan_->slotOf(*flow.target), {*picked.trial, picked.arm});
}

/// The kernel translates no address into one of the other family, and a backend that is new comes to be in the table a
/// moment after it may be picked.
bool FlowSet::isReachable(const Flow& flow, const Backend& backend) const noexcept {
  return backend.address().family() == flow.tuple->family && plan_->slotOf(backend) != 0;
}

void FlowSet::send(Flow& flow, std::uint32_t packet, std::uint32_t slot) noexcept {
  flow.retries = ++flow.attempt <= retriesOf(flow);
  flow.sent_at = now_;
  flow.entry = 0;
  enter(flow, Flow::State::kConnecting);
  gate_->send(packet, markOf(flow, slot));
  noteHalfOpen(now_ + flow.pool->settings().connect_timeout_ns.load(std::memory_order_relaxed));
}

std::uint32_t FlowSet::markOf(const Flow& flow, std::uint32_t slot) const noexcept {
  return kernel::backendMark(plan_->tag, slot, flow.keeps_source, flow.retries);
}

void FlowSet::hold(Flow& flow, std::uint32_t packet) noexcept {
  if (flow.state != Flow::State::kHeld && held_.size() >= kMostHeld) {
    gate_->drop(packet);  // its client comes again
    meter_.dropped(*flow.listener, false);
    return close(flow, CloseReason::kQueueTimeout);
  }
  flow.packet = packet;
  noteDue(now_ + kHeldLook);
  if (flow.state == Flow::State::kHeld) return;
  if (!flow.queued) {
    flow.queued = true;
    meter_.at(*flow.pool)->at.counters.queued_total.add();
  }
  enter(flow, Flow::State::kHeld);
}

void FlowSet::refuse(Flow& flow, std::uint32_t packet, CloseReason reason) noexcept {
  gate_->send(packet, kernel::refusalMark(plan_->tag));
  close(flow, reason);
}

// First come, first served, in each pool.
void FlowSet::serveHeld() noexcept {
  const Pool* full = nullptr;
  for (auto next = held_.begin(); next != held_.end();) {
    Flow& flow = *next++;
    if (flow.pool != full && !place(flow, flow.packet)) full = flow.pool;
  }
}

// ---- entrances that are there no more ------------------------------------------------------------------------------

void FlowSet::use(std::shared_ptr<const FlowPlan> plan) noexcept {
  plan_ = std::move(plan);
  if (gate_ == nullptr) return;
  now_ = clock_.nowNs();
  const auto look = [this](FlowList& flows) {
    for (auto next = flows.begin(); next != flows.end();)
      if (Flow& flow = *next++; isShutOut(flow)) letBy(flow);
  };
  look(held_);
  look(retrying_);
  for (auto next = half_open_.begin(); next != half_open_.end();) look((next++)->half_open);
}

/// No backend will answer this flow: the table led its packet nowhere, or would if it came again. Of a packet that has
/// been let go conntrack knows by now which way it went.
bool FlowSet::isShutOut(Flow& flow) noexcept {
  if (flow.entry != 0 || flow.state == Flow::State::kConnected || plan_->leads(*flow.tuple)) return false;
  if (flow.state != Flow::State::kConnecting) return true;
  const auto entry = entryOf(flow);
  return !entry || !kernel::isBackendMark(entry->mark, plan_->tag);
}

/// The client comes to who listens there now, or is refused where nobody does.
void FlowSet::letBy(Flow& flow) noexcept {
  if (flow.state == Flow::State::kHeld) gate_->send(flow.packet, 0);
  close(flow, plan_->closed ? CloseReason::kDrain : CloseReason::kAbandoned);
}

// ---- ending --------------------------------------------------------------------------------------------------------

/// Of a flow whose entry is not known yet, the one that has its tuple.
std::optional<kernel::FlowEntry> FlowSet::entryOf(const Flow& flow) noexcept {
  auto entry = gate_->find(*flow.tuple);
  if (entry && flow.entry != 0 && entry->id != flow.entry) entry.reset();
  return entry;
}

/// Ends a flow whose client and backend go on: both are sent resets, once all who count have heard of it.
void FlowSet::cut(Flow& flow, CloseReason reason) noexcept {
  if (flow.state == Flow::State::kHeld) return refuse(flow, flow.packet, reason);
  const auto entry = entryOf(flow);
  if (entry) meter_.moved(flow, *entry);
  close(flow, reason);
  if (!entry || !gate_->forget(*entry)) return;
  if (times_ != nullptr) times_->forget(entry->original, kernel::slotOf(entry->mark));  // its client may have said more
  gate_->reset(*entry);
}

/// Client and backend have ended it.
void FlowSet::finish(Flow& flow, CloseReason reason) noexcept {
  flow.reason = reason;
  enter(flow, Flow::State::kEnding);
}

void FlowSet::closeEnding() noexcept {
  while (!ending_.empty()) {
    std::array<kernel::Tuple, kMostAsked> tuples;
    std::size_t count = 0;
    for (auto next = ending_.begin(); next != ending_.end() && count < kMostAsked; ++next)
      tuples[count++] = *next->tuple;
    gate_->find(std::span(tuples).first(count), [this](const kernel::FlowEntry& entry) {
      if (Flow* const flow = find(entry.original); flow != nullptr && flow->entry == entry.id)
        meter_.moved(*flow, entry);
    });
    for (; count > 0; --count) close(ending_.front(), ending_.front().reason);
  }
}

void FlowSet::close(Flow& flow, CloseReason reason) noexcept {
  flow.reason = reason;
  Drains::forget(flow);
  endTrial(flow, reason);
  // The strategy hears of the end of every pick; that of a connect which failed has been told.
  const bool untold = flow.state == Flow::State::kConnecting && reason != CloseReason::kConnectFailed;
  if (untold) meter_.abandoned(flow, now_);
  meter_.closed(flow, now_);
  leaveList(flow);
  if (times_ != nullptr && flow.connected_at != 0) times_->forget(*flow.tuple, plan_->slotOf(*flow.target));
  const bool was_placed = flow.target != nullptr;
  forgetPlace(flow);
  meter_.left(flow);
  flows_.erase(*flow.tuple);
  if (was_placed && !held_.empty()) noteDue(now_);
}

void FlowSet::forgetPlace(Flow& flow) noexcept {
  if (flow.target != nullptr) flow.pool->release(*std::exchange(flow.target, nullptr));
}

void FlowSet::leaveList(Flow& flow) noexcept {
  if (flow.state == Flow::State::kHeld) meter_.at(*flow.pool)->at.counters.queued.subtract();
  if (!flow.state_hook.is_linked()) return;
  FlowList& list = listOf(flow);
  list.erase(list.iterator_to(flow));
  ListenerAtWorker& at = flow.listener->at(worker_);
  if (&list == &at.half_open && list.empty()) half_open_.erase(half_open_.iterator_to(at));
}

FlowList& FlowSet::listOf(Flow& flow) noexcept {
  switch (flow.state) {
    case Flow::State::kHeld:
      return held_;
    case Flow::State::kRetrying:
      return retrying_;
    case Flow::State::kEnding:
      return ending_;
    default:
      return flow.listener->at(worker_).half_open;
  }
}

// A flow that is connected stays among the half open ones until its client completes the handshake.
void FlowSet::enter(Flow& flow, Flow::State state) noexcept {
  leaveList(flow);
  flow.state = state;
  FlowList& list = listOf(flow);
  ListenerAtWorker& at = flow.listener->at(worker_);
  if (&list == &at.half_open && list.empty()) half_open_.push_back(at);
  list.push_back(flow);
  if (state == Flow::State::kHeld) meter_.at(*flow.pool)->at.counters.queued.add();
}

void FlowSet::closeAll(CloseReason reason) noexcept {
  now_ = clock_.nowNs();
  while (!flows_.empty()) {
    Flow& flow = flows_.begin()->second;
    gave_way_ ? letGoOf(flow) : cut(flow, reason);
  }
}

}  // namespace lemonade::proxy
