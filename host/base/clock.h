// SPDX-License-Identifier: MIT
//
// Time, as the whole host and the plugin ABI count it: nanoseconds of CLOCK_MONOTONIC.
#pragma once

#include <time.h>

#include <chrono>
#include <cstdint>

namespace lemonade {

using Duration = std::chrono::nanoseconds;

/// Nanoseconds of the monotonic clock; about 20 ns a call. Any thread.
inline std::uint64_t nowNs() noexcept {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

/// The same clock as of its last tick, a few milliseconds ago at most; about 5 ns a call. Any thread.
inline std::uint64_t coarseNs() noexcept {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

/// Nanoseconds since 1970. Any thread.
inline std::uint64_t unixNs() noexcept {
  timespec now;
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

/// Nanoseconds that the calling thread has had of a processor; a system call. Any thread.
inline std::uint64_t threadCpuNs() noexcept {
  timespec used;
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<std::uint64_t>(used.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(used.tv_nsec);
}

/// What decides by time is handed a clock by reference, and asks that one: in a test the test moves it. What only
/// measures calls the functions above.
class Clock {
 public:
  /// The kernel's monotonic clock, as ::lemonade::nowNs().
  static const Clock& steady() noexcept;

  /// Monotonic nanoseconds. Any thread.
  virtual std::uint64_t nowNs() const noexcept = 0;

 protected:
  ~Clock() = default;
};

}  // namespace lemonade
