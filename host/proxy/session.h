// SPDX-License-Identifier: MIT
//
// A session: one client, its backend, and what is known of both. It belongs to one worker, and is in exactly one of
// that worker's lists. The relay that moves its bytes makes it and frees it, and keeps what only the relay needs in a
// type derived from it.
#pragma once

#include "balance/pool.h"
#include "proxy/served.h"

#include <lemonade/metrics_sink.h>
#include <lemonade/strategy.h>

#include <cstdint>

namespace lemonade::proxy {

/// Which of the two sockets of a session.
enum class Side : std::uint8_t { kClient, kBackend };

constexpr Side other(Side side) noexcept { return side == Side::kClient ? Side::kBackend : Side::kClient; }

/// One of the two sockets of a session, with what is known of it. ends.h says how its flags are set and read.
struct Endpoint {
  int fd = -1;
  bool failed = false;        ///< the kernel reported an error
  bool ended = false;         ///< its FIN was read: what it sent is complete
  bool reset = false;         ///< it broke its stream, and every byte before that was read
  bool finished = false;      ///< our FIN was sent: no more bytes go to it
  bool broken = false;        ///< writing failed: bytes for it are dropped, reading shows why
  bool lost = false;          ///< a write took the error that reading would have given
  std::uint8_t owed = 0;      ///< how many buffers of the relay wait to be written to it
  std::uint64_t dropped = 0;  ///< bytes for it that could not be written any more

  bool isOwed() const noexcept { return owed != 0; }
};

struct ListenerAtWorker;
struct PoolSessions;

/// Why a session ended, as session records say it.
enum class CloseReason : std::uint8_t {
  kDone = LEMONADE_END_DONE,
  kClientReset = LEMONADE_END_CLIENT_RESET,
  kBackendReset = LEMONADE_END_BACKEND_RESET,
  kIdleTimeout = LEMONADE_END_IDLE_TIMEOUT,
  kHalfCloseTimeout = LEMONADE_END_HALF_CLOSE_TIMEOUT,
  kConnectFailed = LEMONADE_END_CONNECT_FAILED,
  kNoBackend = LEMONADE_END_NO_BACKEND,
  kQueueTimeout = LEMONADE_END_QUEUE_TIMEOUT,
  kRejected = LEMONADE_END_REJECTED,
  kDrain = LEMONADE_END_DRAIN,
  kAbandoned = LEMONADE_END_ABANDONED,
  kNoMemory = LEMONADE_END_NO_MEMORY,
  kRebalance = LEMONADE_END_REBALANCE,
  kMaxAge = LEMONADE_END_MAX_AGE,
};

struct alignas(16) Session : Served {
  enum class State : std::uint8_t {
    kConnecting,    ///< the backend socket is connecting
    kNoDescriptor,  ///< there was none to connect with, or no source port: tries again
    kPausing,       ///< every backend that it could have has failed it: tries again after a pause
    kQueued,        ///< for a place at a backend: all that would do are at their limit
    kRelaying,
    kDelivering,  ///< one side is gone; the other gets what was under way, then a FIN or a reset
    kParted,      ///< it was quiet, and is over; its client, which was sent a FIN, is waited for, see parting.h
    kClosed,      ///< freed at the end of the batch
  };

  // Links of the list the session is in, and since when.
  Session* next = nullptr;
  Session* previous = nullptr;
  std::uint64_t listed_at = 0;

  // What its worker has of its listener and its pool. Constant once the session is added.
  ListenerAtWorker* at_listener = nullptr;
  PoolSessions* at_pool = nullptr;

  State state = State::kConnecting;
  CloseReason reason = CloseReason::kDone;
  bool answered = false;      ///< the backend has sent something
  bool in_exchange = false;   ///< the client has asked, and nothing of an answer has come
  bool turned_away = false;   ///< the backend closed before it answered and before the client had finished
  bool ending = false;        ///< of kRelaying: it is in the list of sessions of which one side has ended or failed
  bool acknowledged = false;  ///< since the last activity both sides were seen to have acknowledged everything

  Endpoint client;
  Endpoint backend;

  Endpoint& endpoint(Side side) noexcept { return side == Side::kClient ? client : backend; }
  const Endpoint& endpoint(Side side) const noexcept { return side == Side::kClient ? client : backend; }

  std::uint64_t cookie = 0;
  std::uint64_t generation = 0;
  ShadowTie shadow;
  std::uint32_t attempt = 0;
  std::uint32_t pauses = 0;  ///< that it made since no backend was left for it
  Tried tried;               ///< those that are not tried again before again_at
  std::uint64_t again_at = 0;
  bool lacks_port = false;  ///< one of them could not be tried for want of a source port
  Trial::Part trial;        ///< of a backend that was under suspicion when this was placed

  Address client_address;                      ///< of the PROXY header, where there was one that named it
  std::unique_ptr<const Address> destination;  ///< where that header says the client connected to; null: to our socket
  std::unique_ptr<const Address> peer;         ///< the proxy that sent it, where somebody wants to know; null: none
  std::uint16_t local_port = 0;

  // Monotonic nanoseconds; 0: not yet.
  std::uint64_t accepted_at = 0;
  std::uint64_t queued_at = 0;
  std::uint64_t attempted_at = 0;
  std::uint64_t connected_at = 0;
  std::uint64_t answered_at = 0;  ///< the first byte of the backend
  std::uint64_t active_at = 0;
  std::uint64_t exchange_at = 0;
  std::uint64_t progress_at = 0;  ///< of kDelivering: when `left` became less

  std::uint64_t left = 0;  ///< bytes that were still under way to its sockets when they were last counted
  std::uint64_t slowest_exchange_ns = 0;
  std::uint64_t exchanges = 0;
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::uint64_t sent_out = 0;          ///< of bytes_out, what was written to the client's socket
  std::uint64_t acknowledged_out = 0;  ///< of sent_out, by the client; both are known once its socket closes
  std::uint64_t acknowledged_in = 0;   ///< of bytes_in, by the backend; where somebody wants to know, as the one above
};

/// A list of sessions in the order of listed_at; O(1) at its ends, allocates nothing. Worker thread only.
class SessionList {
 public:
  bool empty() const noexcept { return head_ == nullptr; }
  Session* front() const noexcept { return head_; }
  Session* back() const noexcept { return tail_; }

  void pushBack(Session& session, std::uint64_t now) noexcept {
    session.listed_at = now;
    session.next = nullptr;
    session.previous = tail_;
    (tail_ != nullptr ? tail_->next : head_) = &session;
    tail_ = &session;
  }
  /// Behind all that were listed by then; looks for the place from the back.
  void insert(Session& session, std::uint64_t at) noexcept {
    Session* before = tail_;
    while (before != nullptr && before->listed_at > at) before = before->previous;
    session.listed_at = at;
    session.previous = before;
    session.next = before != nullptr ? before->next : head_;
    (session.next != nullptr ? session.next->previous : tail_) = &session;
    (before != nullptr ? before->next : head_) = &session;
  }
  void remove(Session& session) noexcept {
    (session.previous != nullptr ? session.previous->next : head_) = session.next;
    (session.next != nullptr ? session.next->previous : tail_) = session.previous;
    session.next = session.previous = nullptr;
  }
  void moveToBack(Session& session, std::uint64_t now) noexcept {
    remove(session);
    pushBack(session, now);
  }

 private:
  Session* head_ = nullptr;
  Session* tail_ = nullptr;
};

}  // namespace lemonade::proxy
