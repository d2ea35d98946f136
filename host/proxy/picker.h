// SPDX-License-Identifier: MIT
//
// Asks a pool for a backend on behalf of one connection, whoever moves its bytes: describes the connection to the
// strategy, asks the shadow, looks how long a pick took, and says what was wrong with an answer. Worker thread only.
#pragma once

#include "balance/pool.h"
#include "balance/shadow.h"
#include "proxy/pool_sessions.h"

#include <cstdint>
#include <string>

namespace lemonade::proxy {

class Picker {
 public:
  explicit Picker(std::uint32_t worker);

  /// A connection for which a backend is wanted; all of it is borrowed for the time of the call.
  struct Asker {
    const Address& client;
    std::uint16_t local_port;
    const std::string& listener;  ///< its name
    const LocalAddressSource& destination;
    std::uint32_t attempt;  ///< 0 for the first
    const Tried& tried;
    PickScope scope{};
  };
  struct Answer {
    Picked picked;     ///< of a backend: a place is taken there
    ShadowTie shadow;  ///< what the shadow is told of it
  };
  /// Asks the pool; now is monotonic nanoseconds. Allocates nothing.
  Answer pick(PoolSessions& at_pool, const Asker& asker, std::uint64_t now) noexcept;

  /// A number that nobody can foretell, for one decision.
  std::uint64_t random() noexcept;

 private:
  static void reportInvalid(PoolSessions& at_pool, std::uint64_t now) noexcept;
  static void noteTime(PoolAtWorker& at, std::uint64_t took, bool timed, std::uint64_t now) noexcept;
  static void reportSlow(PoolSessions& at_pool, const Picked& picked, std::uint64_t took, std::uint64_t now) noexcept;

  const std::uint32_t worker_;
  std::uint64_t random_state_;
  std::uint32_t picks_ = 0;  // of which some are timed
};

/// True where a client for whom there was no backend may wait for one: all are full, or have not been checked yet, and
/// its pool lets clients wait.
bool mayQueue(const Pool& pool, const Picked& picked) noexcept;

}  // namespace lemonade::proxy
