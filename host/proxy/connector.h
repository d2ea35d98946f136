// SPDX-License-Identifier: MIT
//
// Finds a backend for a session: picks one, begins to connect, and after a failure picks another at once. Where none is
// left, those that failed may have been overrun or be about to return: after a pause the session tries them again,
// until one answers or the retries are used up. A session that had to queue for a place goes on until its time in the
// queue is over, whatever the retries. Worker thread only.
#pragma once

#include "balance/pool.h"
#include "proxy/dialer.h"
#include "proxy/meter.h"
#include "proxy/picker.h"
#include "proxy/pool_sessions.h"
#include "proxy/session.h"

#include <atomic>
#include <cstdint>

namespace lemonade::proxy {

class Connector {
 public:
  enum class Outcome {
    kConnecting,    ///< session.backend.fd is connecting
    kConnected,     ///< it is connected already
    kNoDescriptor,  ///< there is none to be had, or no source port: begin() again a little later
    kPause,         ///< no backend is left that has not failed it: begin() again at session.again_at
    kQueue,         ///< all backends that would do are at their limit, or it has queued and there are none: begin()
                    ///< again when a place is free
    kGiveUp,        ///< session.reason says why
  };

  /// serving is how many workers serve.
  Connector(std::uint32_t worker, const std::atomic<std::uint32_t>& serving, Meter& meter, Dialer& dialer);

  /// Begins the first attempt, or goes on after a kNoDescriptor, kPause or kQueue.
  Outcome begin(Session& session, std::uint64_t now) noexcept;
  /// Sends the backend, which is connected, a PROXY header, where its pool has them sent: before anything else, and not
  /// counted as bytes of the client. False, with errno, where that failed.
  bool introduce(const Session& session) noexcept;
  /// The attempt under way failed with this errno: goes on with another backend.
  Outcome retry(Session& session, int error, std::uint64_t now) noexcept;
  /// True where another attempt is allowed, at this time: by the retries, or by the time in the queue.
  static bool mayTryAgain(const Session& session, std::uint64_t now) noexcept;

 private:
  enum class Pick { kBackend, kFull, kNone, kRejected };
  Pick pick(Session& session, std::uint64_t now) noexcept;
  bool bindSource(const Session& session, std::uint64_t now) noexcept;
  Outcome connect(Session& session, std::uint64_t now) noexcept;
  bool failAttempt(Session& session, int error, std::uint64_t now) noexcept;
  void putOff(Session& session, std::uint64_t now) noexcept;
  Outcome goWithout(Session& session, std::uint64_t now) noexcept;
  std::uint64_t nextTurn(PoolSessions& at_pool, std::uint64_t now) const noexcept;

  Picker picker_;
  const std::atomic<std::uint32_t>& serving_;
  Meter& meter_;
  Dialer& dialer_;
};

}  // namespace lemonade::proxy
