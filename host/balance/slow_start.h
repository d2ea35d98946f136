// SPDX-License-Identifier: MIT
//
// Slow start: a backend that joins or recovers gets a part of its weight first, and all of it at the end of a window,
// so that cold caches and empty pools of its own are not hit by a full share at once. Plain values, no thread of their
// own.
#pragma once

#include "base/clock.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace lemonade {

struct SlowStart {
  Duration window{0};     ///< 0: off
  double aggression = 1;  ///< above 0; 1 is a straight line, more rises faster at first

  /// The share of its weight, from 0.1 to 1, that a backend has so long after its start:
  /// max(10 %, (age / window)^(1 / aggression)), as Envoy has it.
  double share(Duration age) const noexcept {
    if (age >= window) return 1;
    const double done =
        static_cast<double>(std::max(age, Duration::zero()).count()) / static_cast<double>(window.count());
    return std::max(0.1, std::pow(done, 1 / aggression));
  }
};

/// Where one backend is in its slow start.
class Ramp {
 public:
  /// Takes note whether the backend takes connections at this moment (monotonic nanoseconds). One that begins to, but
  /// for the first of all moments (`at_start`), starts slowly; one that has all of its weight has started.
  void observe(bool takes_connections, bool at_start, const SlowStart& how, std::uint64_t now_ns) noexcept {
    if (takes_connections && !taking_) began_ns_ = at_start ? 0 : now_ns;
    taking_ = takes_connections;
    if (share(how, now_ns) == 1) began_ns_ = 0;
  }
  /// It takes none any more.
  void stop() noexcept { taking_ = false; }
  bool taking() const noexcept { return taking_; }
  /// When its slow start began, monotonic nanoseconds; 0: it has none.
  std::uint64_t beganNs() const noexcept { return began_ns_; }
  /// Takes connections, and goes on with a slow start that began then.
  void resume(std::uint64_t began_ns) noexcept {
    taking_ = true;
    began_ns_ = began_ns;
  }

  /// The share of its weight that it has now; 1 where it is not starting.
  double share(const SlowStart& how, std::uint64_t now_ns) const noexcept {
    return began_ns_ == 0 ? 1 : how.share(Duration(static_cast<Duration::rep>(now_ns - began_ns_)));
  }

 private:
  bool taking_ = false;
  std::uint64_t began_ns_ = 0;  // 0: no slow start
};

}  // namespace lemonade
