// SPDX-License-Identifier: MIT
//
// How long a test waits: every deadline is stretched by LEMONADE_TEST_TIME_FACTOR, so that sanitizer and valgrind runs
// need no tests of their own. Any thread.
#pragma once

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

namespace lemonade::test {

using namespace std::chrono_literals;
using Millis = std::chrono::milliseconds;

/// The stretch of LEMONADE_TEST_TIME_FACTOR, 1 where it is unset.
inline double timeFactor() {
  const char* text = std::getenv("LEMONADE_TEST_TIME_FACTOR");
  return text == nullptr ? 1.0 : std::max(1.0, std::strtod(text, nullptr));
}

/// A moment by which something has to have happened.
class Deadline {
 public:
  /// after is stretched by timeFactor().
  explicit Deadline(Millis after)
      : at_(Clock::now() + std::chrono::duration_cast<Clock::duration>(after * timeFactor())) {}

  bool over() const { return Clock::now() >= at_; }
  /// As poll() takes it: never negative, so that a deadline is never taken for "no deadline".
  int remainingMillis() const {
    const auto left = std::chrono::ceil<Millis>(at_ - Clock::now());
    return static_cast<int>(std::max<Millis::rep>(0, left.count()));
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point at_;
};

/// Measures wall-clock time from its construction.
class Stopwatch {
 public:
  Millis elapsed() const { return std::chrono::duration_cast<Millis>(std::chrono::steady_clock::now() - start_); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Asks condition again and again until it holds; false where it does not within the time. For what can only be seen by
/// asking, such as the balancer's own numbers.
template <class Condition>
bool eventually(Condition condition, Millis within = 10s) {
  const Deadline deadline(within);
  while (!condition()) {
    if (deadline.over()) return false;
    ::poll(nullptr, 0, 5);
  }
  return true;
}

}  // namespace lemonade::test
