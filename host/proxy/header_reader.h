// SPDX-License-Identifier: MIT
//
// Reads the header of the PROXY protocol from clients of listeners that demand one, and makes sessions of them after
// that. A client holds its place in the admission of its listener meanwhile. One that is not trusted, sends something
// else, or does not send all of it in time is reset and counted. Nothing behind the header is read
// here. Worker thread only.
#pragma once

#include "balance/address.h"
#include "balance/proxy_header.h"
#include "base/clock.h"
#include "base/fd.h"
#include "proxy/event_loop.h"
#include "proxy/listener.h"
#include "proxy/mailbox.h"
#include "proxy/session_set.h"

#include <cstddef>
#include <cstdint>
#include <map>

namespace lemonade::proxy {

class HeaderReader {
 public:
  /// All of these must outlive this. mailbox is the worker's: a client that is read from counts as a session there, so
  /// that nobody takes the worker for idle.
  HeaderReader(std::uint32_t worker, SessionSet& sessions, EventLoop& loop, Mailbox& mailbox, const Clock& clock);
  /// Resets every client that is read from.
  ~HeaderReader();
  HeaderReader(const HeaderReader&) = delete;
  HeaderReader& operator=(const HeaderReader&) = delete;

  /// Takes over a client of a listener that reads headers, whose place in the admission is taken.
  void take(Fd client, const Address& peer, std::uint16_t local_port, Listener& listener) noexcept;
  /// Ends those that took too long.
  void handleDue(std::uint64_t now) noexcept;
  /// When the next one has taken too long, monotonic nanoseconds; 0 where none is read from.
  std::uint64_t nextDue() const noexcept;
  /// Resets every client that is read from.
  void closeAll() noexcept;

 private:
  struct Waiting;
  using Clients = std::multimap<std::uint64_t, Waiting>;  // by their deadlines, monotonic nanoseconds

  enum class Refusal { kUntrusted, kMalformed, kTimeout, kClosed };

  Waiting* add(std::uint64_t deadline) noexcept;
  /// False where the client was made a session or closed: it is freed then.
  bool read(Waiting& client) noexcept;
  bool watch(Waiting& client) noexcept;
  void finish(Waiting& client, const ProxyReading& reading) noexcept;
  void refuse(Waiting& client, Refusal why, const char* flaw) noexcept;
  void record(const Waiting& client, std::uint32_t reason) noexcept;
  void complain(const Waiting& client, const char* why) noexcept;
  void free(Waiting& client) noexcept;

  const std::uint32_t worker_;
  SessionSet& sessions_;
  EventLoop& loop_;
  Mailbox& mailbox_;
  const Clock& clock_;
  Clients clients_;
  std::uint64_t complained_at_ = 0;
  std::uint64_t silent_since_ = 0;  // refusals that were not logged since complained_at_
};

}  // namespace lemonade::proxy
