// SPDX-License-Identifier: MIT
//
// When a worker is better off letting events gather for a moment than being woken for each, as network cards do with
// their interrupts: to be put to sleep and woken costs more than to relay a small message. Only a busy worker gains by
// it, so one that is not takes every event at once and adds no latency. Worker thread only.
#pragma once

#include "base/clock.h"

#include <cstdint>

namespace lemonade::proxy {

class Coalescing {
 public:
  static constexpr std::uint64_t kGatherNs = 50'000;  ///< how long events gather
  static constexpr int kEnough = 16;                  ///< a turn with so many gains nothing by more

  /// A turn is over in which so many events were handled; now in monotonic nanoseconds. How long to let events gather
  /// before the next wait, in nanoseconds; 0: not at all. cpu_ns gives the processor time of the worker so far.
  template <class CpuNs>
  std::uint64_t endTurn(std::uint64_t now, int events, CpuNs&& cpu_ns) noexcept {
    events_ += static_cast<std::uint64_t>(events);
    if (now - period_began_ >= kPeriodNs) judge(now, cpu_ns());
    return on_ && events < kEnough ? kGatherNs : 0;
  }
  std::uint64_t endTurn(int events) noexcept { return endTurn(nowNs(), events, threadCpuNs); }

 private:
  static constexpr std::uint64_t kPeriodNs = 500'000;  // of which the share of busy time is taken
  static constexpr std::uint64_t kFewest = 2;          // events that must be expected to come while they gather

  // On above half of the time, off below a quarter: gathering itself makes a worker less busy.
  void judge(std::uint64_t now, std::uint64_t cpu) noexcept {
    const std::uint64_t period = now - period_began_;
    const bool busy = (cpu - cpu_began_) * (on_ ? 4 : 2) > period;
    on_ = busy && events_ * kGatherNs >= kFewest * period;
    period_began_ = now;
    cpu_began_ = cpu;
    events_ = 0;
  }

  std::uint64_t period_began_ = 0;
  std::uint64_t cpu_began_ = 0;
  std::uint64_t events_ = 0;  // since the period began
  bool on_ = false;
};

}  // namespace lemonade::proxy
