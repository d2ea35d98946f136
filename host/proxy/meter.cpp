// SPDX-License-Identifier: MIT
#include "proxy/meter.h"

#include "balance/feedback.h"
#include "base/clock.h"
#include "base/log.h"
#include "proxy/listener.h"
#include "proxy/pool_sessions.h"

#include <algorithm>
#include <cerrno>

namespace lemonade::proxy {

lemonade_strategy_event_t Meter::event(const Session& session, std::uint32_t type, std::uint64_t now) const noexcept {
  lemonade_strategy_event_t event{};
  event.struct_size = sizeof(event);
  event.type = type;
  event.backend_identity = session.target->identity();
  event.cookie = session.cookie;
  event.now_ns = now;
  return event;
}

void Meter::connected(Session& session, std::uint64_t now) noexcept {
  const std::uint64_t took = now - session.attempted_at;
  session.connected_at = session.active_at = now;
  feedback::connected(*session.target, took, now);
  auto& counters = session.target->counters(worker_);
  counters.sessions.add();
  counters.connect_time.record(took);
  if (session.queued_at != 0) session.at_pool->at.counters.queue_time.record(session.attempted_at - session.queued_at);
  if (!session.pool->wants(LEMONADE_EVENT_CONNECTED)) return;
  auto told = event(session, LEMONADE_EVENT_CONNECTED, now);
  told.value_ns = took;
  session.pool->tell(worker_, told, session.generation, session.shadow);
}

void Meter::connectFailed(Session& session, int error, bool blame, std::uint64_t now) noexcept {
  auto& counters = session.target->counters(worker_);
  auto how = Backend::Failure::kConnectError;
  if (error == ECONNREFUSED || error == ECONNRESET)
    how = Backend::Failure::kRefused;
  else if (error == ETIMEDOUT)
    how = Backend::Failure::kTimeout;
  (how == Backend::Failure::kRefused   ? counters.connect_refused
   : how == Backend::Failure::kTimeout ? counters.connect_timeouts
                                       : counters.connect_errors)
      .add();
  if (!blame) return abandoned(session, now);
  feedback::failed(*session.target, now, how);
  session.pool->noteFailure(*session.target);
  if (!session.pool->wants(LEMONADE_EVENT_CONNECT_FAILED)) return;
  auto told = event(session, LEMONADE_EVENT_CONNECT_FAILED, now);
  told.value_ns = now - session.attempted_at;
  told.error = error;
  session.pool->tell(worker_, told, session.generation, session.shadow);
}

void Meter::abandoned(Session& session, std::uint64_t now) noexcept {
  if (session.target == nullptr || !session.pool->wants(LEMONADE_EVENT_ABANDONED)) return;
  auto told = event(session, LEMONADE_EVENT_ABANDONED, now);
  session.pool->tell(worker_, told, session.generation, session.shadow);
}

void Meter::beginExchange(Session& session) noexcept {
  if (session.exchanges != 0) feedback::stirred(*session.target);
  session.in_exchange = true;
  session.exchange_at = nowNs();
  feedback::exchangeStarted(*session.target, session.exchange_at);
  session.trial.asked(session.exchange_at);
}

void Meter::restartExchange(Session& session, std::uint64_t now) noexcept {
  feedback::exchangeRestarted(*session.target, session.exchange_at, now);
  session.exchange_at = now;
  session.trial.asked(now);
}

void Meter::endExchange(Session& session) noexcept {
  const std::uint64_t now = nowNs();
  const std::uint64_t took = now - session.exchange_at;
  session.in_exchange = false;
  ++session.exchanges;
  if (!session.answered) session.answered_at = now;
  session.slowest_exchange_ns = std::max(session.slowest_exchange_ns, took);
  feedback::exchangeAnswered(*session.target, session.exchange_at, now);
  feedback::becameQuiet(*session.target);
  auto& counters = session.target->counters(worker_);
  counters.exchanges.add();
  counters.exchange_time.record(took);
  if (!session.pool->wants(LEMONADE_EVENT_EXCHANGE)) return;
  auto told = event(session, LEMONADE_EVENT_EXCHANGE, now);
  told.value_ns = took;
  session.pool->tell(worker_, told, session.generation, session.shadow);
}

void Meter::firstAnswer(Session& session) noexcept {
  session.answered = true;
  if (session.answered_at == 0) session.answered_at = nowNs();  // it spoke first
  feedback::succeeded(*session.target);
  feedback::forgetDoubts(*session.target);
  const bool asked = session.exchange_at != 0 && session.exchange_at < session.answered_at;
  session.trial.answered(asked ? session.answered_at - session.exchange_at : 0);
}

// Tells the trial that the session takes part in what came of it, unless it has been answered.
void Meter::endTrial(Session& session, bool failed) noexcept {
  if (failed) return session.trial.failed();
  switch (session.reason) {
    case CloseReason::kDone:
      // A client that only looks whether somebody listens shows nothing more.
      return session.in_exchange ? session.trial.answered() : session.trial.dismiss();
    case CloseReason::kClientReset:
      return session.trial.left();
    default:
      return session.trial.dismiss();
  }
}

void Meter::countEnd(Session& session, BackendCounters& counters, std::uint64_t now) noexcept {
  counters.duration.record(now - session.connected_at);
  if (session.reason == CloseReason::kIdleTimeout) counters.idle_timeouts.add();
  const bool reset = session.reason == CloseReason::kBackendReset;
  auto& of_listener = session.at_listener->counters;
  auto& of_pool = session.at_pool->at.counters;
  if (reset)
    for (Counter* counter : {&counters.resets, &of_pool.backend_resets, &of_listener.backend_resets}) counter->add();
  if (session.turned_away)
    for (Counter* counter : {&counters.early_closes, &of_pool.early_closes, &of_listener.early_closes}) counter->add();
  // A reset by one that owed nothing is no failure: many servers end idle connections so. Nor says one that had
  // answered before much about the backend: it took what this very client sent for no reason to go on.
  const bool early = !session.answered && (session.turned_away || reset);
  if (session.trial) endTrial(session, early);
  if (early) {
    feedback::doubted(*session.target, reset ? Backend::Failure::kReset : Backend::Failure::kClosed);
    session.pool->noteFailure(*session.target);
  }
  if (early || (reset && session.in_exchange)) {
    auto told = event(session, LEMONADE_EVENT_ERROR, now);
    told.error = reset ? ECONNRESET : 0;
    session.pool->tell(worker_, told, session.generation, session.shadow);
  } else if (!session.answered && session.reason == CloseReason::kDone) {
    feedback::succeeded(*session.target);
    if (session.in_exchange) feedback::forgetDoubts(*session.target);
  }
}

void Meter::countReason(const Session& session) noexcept {
  auto& of_listener = session.at_listener->counters;
  auto& of_pool = session.at_pool->at.counters;
  switch (session.reason) {
    case CloseReason::kClientReset:
      return of_listener.client_resets.add();
    case CloseReason::kNoMemory:
      return of_listener.no_memory.add();
    case CloseReason::kDrain:
      return of_listener.drain_closed.add();
    case CloseReason::kNoBackend:
      of_listener.no_backend.add();
      return of_pool.no_backend.add();
    case CloseReason::kConnectFailed:
      of_listener.connect_failed.add();
      return of_pool.connect_failed.add();
    case CloseReason::kQueueTimeout:
      of_listener.queue_timeouts.add();
      return of_pool.queue_timeouts.add();
    case CloseReason::kRejected:
      return of_pool.strategy_rejected.add();
    case CloseReason::kAbandoned:
      return of_pool.abandoned.add();
    case CloseReason::kRebalance:
      return of_pool.parted_rebalance.add();
    case CloseReason::kMaxAge:
      return of_pool.parted_max_age.add();
    default:
      return;
  }
}

void Meter::closed(Session& session, std::uint64_t now) noexcept {
  countReason(session);
  if (session.queued_at != 0 && session.connected_at == 0)
    session.at_pool->at.counters.queue_time.record(now - session.queued_at);
  if (session.target != nullptr) {
    if (session.in_exchange)
      feedback::exchangeDropped(*session.target, session.exchange_at);
    else if (session.exchanges != 0)
      feedback::stirred(*session.target);
    // A backend that answers a goodbye by closing in order does not hang.
    if (session.in_exchange && session.backend.ended && !session.turned_away)
      feedback::forgetUnanswered(*session.target);
    if (session.connected_at != 0) countEnd(session, session.target->counters(worker_), now);
    if (session.connected_at != 0 && session.pool->wants(LEMONADE_EVENT_CLOSED)) {
      auto told = event(session, LEMONADE_EVENT_CLOSED, now);
      told.value_ns = now - session.connected_at;
      told.bytes_in = session.bytes_in;
      told.bytes_out = session.bytes_out;
      told.exchanges = session.exchanges;
      session.pool->tell(worker_, told, session.generation, session.shadow);
    }
  }
  if (log::enabled("access", log::Level::kDebug)) writeAccessLog(session, now);
}

void Meter::writeAccessLog(const Session& session, std::uint64_t now) const noexcept try {
  const auto connect_ns = session.connected_at != 0 ? session.connected_at - session.attempted_at : 0;
  log::debug("access", "session closed",
             {{"client", session.client_address.text()},
              {"listener", session.listener->name()},
              {"pool", session.pool->name()},
              {"backend", session.target != nullptr ? session.target->id() : "-"},
              {"backend_address", session.target != nullptr ? session.target->addressText() : "-"},
              {"attempts", session.attempt},
              {"bytes_in", session.bytes_in},
              {"bytes_out", session.sent_out},
              {"bytes_out_acked", session.acknowledged_out},
              {"exchanges", session.exchanges},
              {"connect_ms", log::milliseconds(connect_ns)},
              {"slowest_exchange_ms", log::milliseconds(session.slowest_exchange_ns)},
              {"duration_ms", log::milliseconds(now - session.accepted_at)},
              {"reason", lemonade_end_text(static_cast<std::uint32_t>(session.reason)).data}});
} catch (...) {
  // A line that cannot be composed for want of memory is lost.
}

}  // namespace lemonade::proxy
