// SPDX-License-Identifier: MIT
//
// One check on its way: the control thread fills it in and sends it off, the thread of checks carries it out and sends
// it back. It is used again for another check.
#pragma once

#include "base/clock.h"
#include "health/probe.h"

#include <atomic>
#include <cstdint>
#include <memory>

namespace lemonade::health {

struct Errand {
  /// Who sent it. Control thread.
  class Owner {
   public:
    virtual ~Owner() = default;
    /// It is back: outcome, ended_ns and probe say what came of it. It may be sent off again.
    virtual void ended() = 0;
    /// It is left behind with a thread that hangs in a checker, and must not be sent off again.
    virtual void lost() = 0;
  };

  /// The clock must outlive it.
  explicit Errand(const Clock& clock) : probe(clock) {}

  // The control thread's.
  Owner* owner = nullptr;  ///< must outlive its way, or until it is cancelled; null: nobody hears of it

  // The control thread's while it is at home, the thread of checks' while it is on its way.
  std::shared_ptr<const Checker> checker;  ///< null: connecting is the whole check; the control thread lets go of it
  Probe::Target target;
  Probe::Outcome outcome = Probe::Outcome::kSkipped;
  std::uint64_t ended_ns = 0;  ///< monotonic
  Probe probe;
  Errand* next = nullptr;  ///< in a mailbox

  // Changed by the control thread also while it is on its way.
  std::atomic<Duration> timeout{Duration{}};
  std::atomic<bool> cancelled{false};  ///< it is to come back soon

  // The thread of checks'.
  bool under_way = false;        ///< its probe may run
  std::uint64_t began_ns = 0;    ///< monotonic
  std::uint64_t stalled_ns = 0;  ///< how long checkers had held that thread up by then
  std::uint64_t due_ns = 0;      ///< when it has taken as long as it may, as far as is known
};

}  // namespace lemonade::health
