// SPDX-License-Identifier: MIT
#include "proxy/flow_meter.h"

#include "balance/feedback.h"
#include "base/log.h"
#include "proxy/listener.h"
#include "proxy/mailbox.h"

#include <algorithm>
#include <cerrno>
#include <new>

namespace lemonade::proxy {

namespace {

/// 0 of one that was connected before we heard of it.
std::uint64_t connectNs(const Flow& flow) noexcept {
  return flow.connected_at > flow.sent_at ? flow.connected_at - flow.sent_at : 0;
}

}  // namespace

PoolSessions* FlowMeter::at(Pool& pool) const noexcept {
  PoolAtWorker& at = pool.at(worker_);
  if (at.attached == nullptr) at.attached.reset(new (std::nothrow) PoolSessions(pool, at));
  return static_cast<PoolSessions*>(at.attached.get());
}

PoolCounters& FlowMeter::ofPool(const Flow& flow) const noexcept { return flow.pool->at(worker_).counters; }

void FlowMeter::came(Flow& flow, bool again) noexcept {
  auto& of_pool = ofPool(flow);
  auto& of_listener = flow.listener->at(worker_).counters;
  // Not among the worker's own: by these it is told how much work it has.
  for (Counter* counter : {&of_pool.sessions, &of_listener.sessions}) counter->add();
  if (again) return;
  for (Counter* counter : {&of_pool.clients, &of_listener.accepted}) counter->add();
}

void FlowMeter::cameUnasked(const Flow& flow) noexcept { flow.listener->at(worker_).counters.unasked.add(); }

void FlowMeter::dropped(Listener& listener, bool full) noexcept {
  auto& counters = listener.at(worker_).counters;
  (full ? counters.dropped_full : counters.dropped_queued).add();
}

void FlowMeter::lostEvents() noexcept { mailbox_.counters.event_losses.add(); }

void FlowMeter::left(Flow& flow) noexcept {
  for (Counter* counter : {&ofPool(flow).sessions, &flow.listener->at(worker_).counters.sessions}) counter->subtract();
  flow.listener->admission().leave();
}

void FlowMeter::tell(const Flow& flow, std::uint32_t type, std::uint64_t now, std::uint64_t value_ns,
                     int error) noexcept {
  if (!flow.pool->wants(type)) return;
  lemonade_strategy_event_t event{};
  event.struct_size = sizeof(event);
  event.type = type;
  event.backend_identity = flow.target->identity();
  event.cookie = flow.cookie;
  event.now_ns = now;
  event.value_ns = value_ns;
  event.error = error;
  event.bytes_in = flow.bytes_in;
  event.bytes_out = flow.bytes_out;
  flow.pool->tell(worker_, event, flow.generation, flow.shadow);
}

void FlowMeter::connected(Flow& flow, std::uint64_t now) noexcept {
  const std::uint64_t took = now - flow.sent_at;
  flow.connected_at = now;
  feedback::connected(*flow.target, took, now);
  feedback::succeeded(*flow.target);  // it accepted: more the kernel does not tell
  auto& counters = flow.target->counters(worker_);
  counters.sessions.add();
  counters.connect_time.record(took);
  if (flow.queued) ofPool(flow).queue_time.record(flow.sent_at - flow.came_at);
  tell(flow, LEMONADE_EVENT_CONNECTED, now, took);
}

void FlowMeter::connectFailed(Flow& flow, bool refused, std::uint64_t now) noexcept {
  auto& counters = flow.target->counters(worker_);
  (refused ? counters.connect_refused : counters.connect_timeouts).add();
  feedback::failed(*flow.target, now, refused ? Backend::Failure::kRefused : Backend::Failure::kTimeout);
  flow.pool->noteFailure(*flow.target);
  tell(flow, LEMONADE_EVENT_CONNECT_FAILED, now, now - flow.sent_at, refused ? ECONNREFUSED : ETIMEDOUT);
}

void FlowMeter::abandoned(Flow& flow, std::uint64_t now) noexcept {
  if (flow.target != nullptr) tell(flow, LEMONADE_EVENT_ABANDONED, now, 0);
}

void FlowMeter::moved(Flow& flow, const kernel::FlowEntry& entry) noexcept {
  if (!entry.counted || flow.target == nullptr) return;
  if (!flow.lent) {
    auto& counters = flow.target->counters(worker_);
    if (entry.bytes_in > flow.bytes_in) counters.bytes_in.add(entry.bytes_in - flow.bytes_in);
    if (entry.bytes_out > flow.bytes_out) counters.bytes_out.add(entry.bytes_out - flow.bytes_out);
  }
  flow.bytes_in = std::max(flow.bytes_in, entry.bytes_in);
  flow.bytes_out = std::max(flow.bytes_out, entry.bytes_out);
}

void FlowMeter::countReason(const Flow& flow) noexcept {
  auto& of_listener = flow.listener->at(worker_).counters;
  auto& of_pool = ofPool(flow);
  const auto count = [](Counter& one, Counter& other) {
    one.add();
    other.add();
  };
  switch (flow.reason) {
    case CloseReason::kClientReset:
      return of_listener.client_resets.add();
    case CloseReason::kBackendReset:
      flow.target->counters(worker_).resets.add();
      return count(of_listener.backend_resets, of_pool.backend_resets);
    case CloseReason::kIdleTimeout:
      return flow.target->counters(worker_).idle_timeouts.add();
    case CloseReason::kDrain:
      return of_listener.drain_closed.add();
    case CloseReason::kNoBackend:
      return count(of_listener.no_backend, of_pool.no_backend);
    case CloseReason::kConnectFailed:
      return count(of_listener.connect_failed, of_pool.connect_failed);
    case CloseReason::kQueueTimeout:
      return count(of_listener.queue_timeouts, of_pool.queue_timeouts);
    case CloseReason::kRejected:
      return of_pool.strategy_rejected.add();
    case CloseReason::kAbandoned:
      return of_pool.abandoned.add();
    default:
      return;
  }
}

void FlowMeter::closed(Flow& flow, std::uint64_t now) noexcept {
  if (flow.lent) return;
  countReason(flow);
  if (flow.queued && flow.connected_at == 0) ofPool(flow).queue_time.record(now - flow.came_at);
  if (flow.connected_at != 0) {
    flow.target->counters(worker_).duration.record(now - flow.connected_at);
    tell(flow, LEMONADE_EVENT_CLOSED, now, now - flow.connected_at);
  }
  if (mailbox_.records.wanted()) {
    const Address client = flow.tuple->source();
    mailbox_.records.put(recordOf(flow, client, now));
  }
  if (log::enabled("access", log::Level::kDebug)) writeAccessLog(flow, now);
}

SessionRecord FlowMeter::recordOf(const Flow& flow, const Address& client, std::uint64_t now) const noexcept {
  SessionRecord record;
  record.listener = flow.listener->name();
  record.pool = flow.pool->name();
  record.client = &client;
  if (flow.target != nullptr) {
    record.backend = flow.target->id();
    record.backend_name = flow.target->name();
    record.backend_address = flow.target->addressText();
    record.numbers.backend_identity = flow.target->identity();
  }
  auto& numbers = record.numbers;
  numbers.reason = static_cast<std::uint32_t>(flow.reason);
  numbers.attempts = flow.attempt;
  numbers.started_ns = flow.came_at;
  numbers.duration_ns = now - flow.came_at;
  if (flow.queued) numbers.queue_ns = (flow.sent_at != 0 ? flow.sent_at : now) - flow.came_at;
  numbers.connect_ns = connectNs(flow);
  numbers.bytes_in = flow.bytes_in;
  numbers.bytes_out = flow.bytes_out;
  return record;
}

void FlowMeter::writeAccessLog(const Flow& flow, std::uint64_t now) const noexcept try {
  log::debug("access", "session closed",
             {{"client", flow.tuple->source().text()},
              {"listener", flow.listener->name()},
              {"pool", flow.pool->name()},
              {"backend", flow.target != nullptr ? flow.target->id() : "-"},
              {"backend_address", flow.target != nullptr ? flow.target->addressText() : "-"},
              {"attempts", flow.attempt},
              {"bytes_in", flow.bytes_in},
              {"bytes_out", flow.bytes_out},
              {"forwarded_by", "kernel"},
              {"connect_ms", log::milliseconds(connectNs(flow))},
              {"duration_ms", log::milliseconds(now - flow.came_at)},
              {"reason", lemonade_end_text(static_cast<std::uint32_t>(flow.reason)).data}});
} catch (...) {
  // A line that cannot be composed for want of memory is lost.
}

}  // namespace lemonade::proxy
