// SPDX-License-Identifier: MIT
//
// When a worker is better off letting events gather for a moment than being woken for each, as network cards do with
// their interrupts: to be put to sleep and woken costs more than to relay a small message. Only a busy worker gains by
// it, so one that is not takes every event at once and adds no latency. Worker thread only.
#pragma once

#include <cstdint>

namespace lemonade::proxy {

class Coalescing {
 public:
  static constexpr std::uint64_t kGatherNs = 50'000;  ///< how long events gather
  static constexpr int kEnough = 16;                  ///< a turn with so many gains nothing by more

  /// A turn is over, monotonic nanoseconds; events were handled in it. How long to let events gather before the next
  /// wait, in nanoseconds; 0: wait at once.
  std::uint64_t endTurn(std::uint64_t now, int events) noexcept {
    busy_ns_ += now - turn_began_;
    events_ += static_cast<std::uint64_t>(events);
    if (now - period_began_ >= kPeriodNs) judge(now);
    return on_ && events < kEnough ? kGatherNs : 0;
  }
  /// The wait is over, and a turn begins.
  void beginTurn(std::uint64_t now) noexcept { turn_began_ = now; }

 private:
  static constexpr std::uint64_t kPeriodNs = 2'000'000;  // of which the share of busy time is taken
  static constexpr std::uint64_t kFewest = 2;            // events that must be expected to come while they gather

  // On above half of the time, off below a quarter: gathering itself makes a worker less busy.
  void judge(std::uint64_t now) noexcept {
    const std::uint64_t period = now - period_began_;
    const bool busy = busy_ns_ * (on_ ? 4 : 2) > period;
    on_ = busy && events_ * kGatherNs >= kFewest * period;
    period_began_ = now;
    busy_ns_ = events_ = 0;
  }

  std::uint64_t turn_began_ = 0;
  std::uint64_t period_began_ = 0;
  std::uint64_t busy_ns_ = 0;
  std::uint64_t events_ = 0;
  bool on_ = false;
};

}  // namespace lemonade::proxy
