// SPDX-License-Identifier: MIT
//
// What happens to sessions, told once here and from here to everyone who counts: the backend's live numbers, the worker's
// counters, the strategy's events and the access log. Worker thread only.
//
// An exchange begins with the first client byte forwarded after the backend spoke last, and ends with the first backend
// byte that follows: request and response of HTTP, Redis or SQL, timed without reading a protocol.
#pragma once

#include "balance/pool.h"
#include "proxy/session.h"

#include <cstdint>

namespace lemonade::proxy {

class Meter {
 public:
  Meter(std::uint32_t worker, Pool& pool, ProxyCounters& counters)
      : worker_(worker), pool_(pool), counters_(counters) {}

  ProxyCounters& counters() noexcept { return counters_; }

  void connected(Session& session, std::uint64_t now) noexcept;
  /// error is an errno. blame says whether it tells anything about the backend.
  void connectFailed(Session& session, int error, bool blame, std::uint64_t now) noexcept;
  /// The pick came to nothing, and not by the backend's fault: such as a client that left before it was connected.
  void abandoned(Session& session, std::uint64_t now) noexcept;

  void bytesIn(Session& session, std::uint64_t size) noexcept {
    session.bytes_in += size;
    session.target->counters(worker_).bytes_in.add(size);
    if (!session.in_exchange) beginExchange(session);
  }
  void bytesOut(Session& session, std::uint64_t size) noexcept {
    session.bytes_out += size;
    session.target->counters(worker_).bytes_out.add(size);
    if (session.in_exchange) endExchange(session);
    if (!session.answered) firstAnswer(session);
  }

  /// The session is over, for session.reason.
  void closed(Session& session, std::uint64_t now) noexcept;

 private:
  void beginExchange(Session& session) noexcept;
  void endExchange(Session& session) noexcept;
  void firstAnswer(Session& session) noexcept;
  void blameBackend(Session& session, Backend::Failure how, std::uint64_t now) noexcept;
  void countEnd(Session& session, BackendCounters& counters, std::uint64_t now) noexcept;
  lemonade_strategy_event_t event(const Session& session, std::uint32_t type, std::uint64_t now) const noexcept;
  void writeAccessLog(const Session& session, std::uint64_t now) const noexcept;

  const std::uint32_t worker_;
  Pool& pool_;
  ProxyCounters& counters_;
};

}  // namespace lemonade::proxy
