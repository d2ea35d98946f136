// SPDX-License-Identifier: MIT
//
// Time that passes when the test says so.
#pragma once

#include "base/clock.h"
#include "base/control_loop.h"

#include <atomic>
#include <cstdint>

namespace lemonade::test {

/// Any thread.
class ManualClock final : public Clock {
 public:
  std::uint64_t nowNs() const noexcept override { return now_ns_.load(); }
  void advance(Duration by) noexcept { now_ns_.fetch_add(static_cast<std::uint64_t>(by.count())); }

 private:
  std::atomic<std::uint64_t> now_ns_{1'000'000'000'000};  // never near 0, which stands for "never"
};

/// A control loop whose timers go by a clock of its own.
class ManualLoop {
 public:
  /// So much time passes at once; returns when the timers have run that became due. Not from the control thread.
  void pass(Duration time) {
    loop.run([&] { clock.advance(time); });
    loop.run([] {});  // which comes after them
  }

  ManualClock clock;
  ControlLoop loop{"control", clock};
};

}  // namespace lemonade::test
