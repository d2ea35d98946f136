// SPDX-License-Identifier: MIT
//
// How long a thread that should turn all the time did not: the thread says when it has to come round, and when it has.
// What did not happen yet counts too, so that a thread that hangs is seen while it does.
#pragma once

#include "base/worst.h"

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace lemonade {

class Lag {
 public:
  /// Less is none: clocks and timers are not better than that.
  static constexpr std::uint64_t kLeastNs = 1'000'000;

  // That thread; monotonic nanoseconds.
  /// What is done next should be done then.
  void due(std::uint64_t at_ns) noexcept { due_.store(at_ns, std::memory_order_relaxed); }
  /// It is done; where nothing was due that says nothing.
  void done(std::uint64_t now_ns) noexcept {
    if (const std::uint64_t lag = since(now_ns); lag != 0) worst_.note(now_ns, lag);
    due_.store(0, std::memory_order_relaxed);
  }

  /// The longest of the last 30 to 60 seconds, in nanoseconds. Any thread.
  std::uint64_t worst(std::uint64_t now_ns) const noexcept { return std::max(worst_.of(now_ns), since(now_ns)); }

 private:
  std::uint64_t since(std::uint64_t now_ns) const noexcept {
    const std::uint64_t due = due_.load(std::memory_order_relaxed);
    return due != 0 && now_ns > due + kLeastNs ? now_ns - due : 0;
  }

  std::atomic<std::uint64_t> due_{0};  // 0: nothing is
  Worst worst_;
};

}  // namespace lemonade
