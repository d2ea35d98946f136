// SPDX-License-Identifier: MIT
//
// A session: one client, its backend, and what is known of both. Belongs to one worker, and to exactly one of that
// worker's lists.
#pragma once

#include "balance/pool.h"
#include "proxy/buffers.h"

#include <lemonade/strategy.h>

#include <boost/intrusive/list_hook.hpp>

#include <cstdint>
#include <memory>

namespace lemonade::proxy {

/// One of the two sockets of a session, with what is known of it. Readable and writable are remembered from edges.
struct Endpoint {
  int fd = -1;
  bool readable = false;   ///< a read may give something
  bool writable = false;   ///< a write may take something
  bool hung_up = false;    ///< a FIN or RST has come: read until it shows
  bool failed = false;     ///< the kernel reported an error: it is gone
  bool ended = false;      ///< its FIN was read: no more bytes come from it
  bool finished = false;   ///< our FIN was sent: no more bytes go to it
  bool broken = false;     ///< writing failed: bytes for it are dropped, reading shows why
  std::uint32_t pending_at = 0;  ///< first byte of pending that waits
  std::uint32_t pending_end = 0;
  std::unique_ptr<Buffer> pending;  ///< bytes that wait to be written to it; null where none do
};

class Drain;

/// Why a session ended; see closeReasonName.
enum class CloseReason : std::uint8_t {
  kDone,
  kClientReset,
  kBackendReset,
  kIdleTimeout,
  kConnectFailed,
  kNoBackend,
  kQueueTimeout,
  kRejected,
  kDrain,
  kAbandoned,
  kNoMemory,
};

/// The word for a reason in the access log: "done", "client-reset", ...
const char* closeReasonName(CloseReason reason) noexcept;

struct Session {
  enum class State : std::uint8_t {
    kConnecting,  ///< the backend socket is connecting
    kWaiting,     ///< for a descriptor to connect with
    kQueued,      ///< for a place at a backend: all that would do are at their limit
    kRelaying,
    kResetting,   ///< one side is gone; the other gets what was under way, then a reset
    kClosed,      ///< freed at the end of the batch
  };

  // Links of the list the session is in, and since when.
  Session* next = nullptr;
  Session* previous = nullptr;
  std::uint64_t listed_at = 0;

  // The drain that ends it, once that has begun, and its place there; see drains.h.
  Drain* drain = nullptr;
  boost::intrusive::list_member_hook<> drain_hook;

  State state = State::kConnecting;
  CloseReason reason = CloseReason::kDone;
  bool again = false;     ///< it is in the queue of those with bytes left to move
  bool answered = false;  ///< the backend has sent something
  bool waiting = false;   ///< an exchange is under way
  bool turned_away = false;  ///< the backend closed before it answered and before the client had finished

  Endpoint client;
  Endpoint backend;

  Backend* target = nullptr;  ///< holds a place there while not null
  std::uint64_t cookie = 0;
  std::uint64_t generation = 0;
  std::uint32_t attempt = 0;
  Tried tried;

  Address client_address;
  std::uint16_t local_port = 0;

  // Monotonic nanoseconds; 0: not yet.
  std::uint64_t accepted_at = 0;
  std::uint64_t queued_at = 0;
  std::uint64_t attempted_at = 0;
  std::uint64_t connected_at = 0;
  std::uint64_t active_at = 0;
  std::uint64_t exchange_at = 0;

  std::uint64_t slowest_exchange_ns = 0;
  std::uint64_t exchanges = 0;
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
};

/// A list of sessions in the order of listed_at; O(1) everywhere, allocates nothing. Worker thread only.
class SessionList {
 public:
  bool empty() const noexcept { return head_ == nullptr; }
  Session* front() const noexcept { return head_; }

  void pushBack(Session& session, std::uint64_t now) noexcept {
    session.listed_at = now;
    session.next = nullptr;
    session.previous = tail_;
    (tail_ != nullptr ? tail_->next : head_) = &session;
    tail_ = &session;
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
