// SPDX-License-Identifier: MIT
#include "proxy/recording.h"

#include "proxy/listener.h"

namespace lemonade::proxy {

namespace {

/// From when it first had to wait for a place, to the last connect that followed, or its end.
std::uint64_t queuedFor(const Session& session, std::uint64_t now) noexcept {
  if (session.queued_at == 0) return 0;
  return (session.attempted_at >= session.queued_at ? session.attempted_at : now) - session.queued_at;
}

/// The client waited for an answer of which nothing came. One that had finished had said goodbye.
bool isUnanswered(const Session& session) noexcept {
  return session.reason == CloseReason::kDone ? session.turned_away : session.in_exchange;
}

void describeBackend(const Backend& backend, SessionRecord& record) noexcept {
  record.backend = backend.id();
  record.backend_name = backend.name();
  record.backend_address = backend.addressText();
  record.numbers.backend_identity = backend.identity();
}

}  // namespace

SessionRecord recordOf(const Session& session, std::uint64_t now) noexcept {
  SessionRecord record;
  record.listener = session.listener->name();
  record.pool = session.pool->name();
  if (session.target != nullptr) describeBackend(*session.target, record);
  record.client = &session.client_address;
  record.peer = session.peer.get();
  auto& numbers = record.numbers;
  numbers.reason = static_cast<std::uint32_t>(session.reason);
  numbers.flags = isUnanswered(session) ? LEMONADE_RECORD_UNANSWERED : 0;
  numbers.attempts = session.attempt;
  numbers.started_ns = session.accepted_at;
  numbers.duration_ns = now - session.accepted_at;
  numbers.queue_ns = queuedFor(session, now);
  if (session.connected_at != 0) numbers.connect_ns = session.connected_at - session.attempted_at;
  if (session.answered_at > session.connected_at) numbers.first_byte_ns = session.answered_at - session.connected_at;
  numbers.slowest_exchange_ns = session.slowest_exchange_ns;
  numbers.exchanges = session.exchanges;
  numbers.bytes_in = session.bytes_in;
  numbers.bytes_out = session.sent_out;
  numbers.bytes_out_acknowledged = session.acknowledged_out;
  if (session.connected_at == 0 || session.target == nullptr || session.target->address().isUnix()) return record;
  numbers.flags |= LEMONADE_RECORD_IN_ACKNOWLEDGED;
  numbers.bytes_in_acknowledged = session.acknowledged_in;
  return record;
}

}  // namespace lemonade::proxy
