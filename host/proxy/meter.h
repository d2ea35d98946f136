// SPDX-License-Identifier: MIT
//
// What happens to sessions, told once here and from here to everyone who counts: the backend's live numbers, the
// counters of pool and listener, the strategy's events and the access log. Worker thread only.
//
// An exchange begins with the first client byte forwarded after the backend spoke last, and ends with the first backend
// byte that follows: request and response of HTTP, Redis or SQL, timed without reading a protocol. Its time counts from
// the last byte that the client had forwarded before the answer: an upload that goes on is not a backend that is slow.
#pragma once

#include "balance/pool.h"
#include "base/clock.h"
#include "proxy/session.h"

#include <cstdint>

namespace lemonade::proxy {

class Meter {
 public:
  explicit Meter(std::uint32_t worker) : worker_(worker) {}

  void connected(Session& session, std::uint64_t now) noexcept;
  /// error is an errno. blame says whether it tells anything about the backend.
  void connectFailed(Session& session, int error, bool blame, std::uint64_t now) noexcept;
  /// The pick came to nothing, and not by the backend's fault: such as a client that left before it was connected.
  void abandoned(Session& session, std::uint64_t now) noexcept;

  void bytesIn(Session& session, std::uint64_t size) noexcept {
    session.bytes_in += size;
    session.target->counters(worker_).bytes_in.add(size);
    if (!session.in_exchange)
      beginExchange(session);
    else if (const std::uint64_t now = coarseNs(); now > session.exchange_at + kRestartNs)
      restartExchange(session, now);
  }
  void bytesOut(Session& session, std::uint64_t size) noexcept {
    session.bytes_out += size;
    session.target->counters(worker_).bytes_out.add(size);
    if (session.in_exchange) endExchange(session);
    if (!session.answered) firstAnswer(session);
  }

  /// The session, which has its listener and its pool, is over, for session.reason.
  void closed(Session& session, std::uint64_t now) noexcept;

 private:
  static constexpr std::uint64_t kRestartNs = 20'000'000;  // a clock that starts again does so this often at most

  void beginExchange(Session& session) noexcept;
  void restartExchange(Session& session, std::uint64_t now) noexcept;
  void endExchange(Session& session) noexcept;
  void firstAnswer(Session& session) noexcept;
  void endTrial(Session& session, bool failed) noexcept;
  static void countReason(const Session& session) noexcept;
  void countEnd(Session& session, BackendCounters& counters, std::uint64_t now) noexcept;
  lemonade_strategy_event_t event(const Session& session, std::uint32_t type, std::uint64_t now) const noexcept;
  void writeAccessLog(const Session& session, std::uint64_t now) const noexcept;

  const std::uint32_t worker_;
};

}  // namespace lemonade::proxy
