// SPDX-License-Identifier: MIT
//
// Virtual time: what will happen, in the order of time, and of planning where times are equal, so that a run depends on
// its seed alone. One thread.
#pragma once

#include <lemonade/sdk/sampling.hpp>

#include <cmath>
#include <cstdint>
#include <numbers>
#include <queue>
#include <vector>

namespace lemonade::sim {

inline constexpr std::uint64_t kMicrosecond = 1'000;
inline constexpr std::uint64_t kMillisecond = 1'000'000;
inline constexpr std::uint64_t kSecond = 1'000'000'000;

/// A stream of random numbers.
class Random {
 public:
  explicit Random(std::uint64_t seed) : seed_(sdk::nthRandom(seed, 0x5eed)) {}
  std::uint64_t bits() noexcept { return sdk::nthRandom(seed_, drawn_++); }
  /// 0 to 1, 1 excluded.
  double unit() noexcept { return static_cast<double>(bits() >> 11) * 0x1p-53; }
  std::uint32_t below(std::uint32_t end) noexcept { return static_cast<std::uint32_t>((bits() >> 32) * end >> 32); }
  double exponential(double mean) noexcept { return -std::log1p(-unit()) * mean; }
  /// Lognormal with this mean and coefficient of variation.
  double lognormal(double mean, double variation) noexcept {
    const double variance = std::log1p(variation * variation);
    // Box and Muller
    const double normal = std::sqrt(-2 * std::log1p(-unit())) * std::cos(2 * std::numbers::pi * unit());
    return mean * std::exp(std::sqrt(variance) * normal - variance / 2);
  }

 private:
  std::uint64_t seed_;
  std::uint64_t drawn_ = 0;
};

enum class What : std::uint8_t {
  kArrival,
  kSessionArrival,
  kConnected,    ///< subject: session
  kJobDone,      ///< subject: server
  kReset,        ///< subject: session
  kNextRequest,  ///< subject: session
  kGiveUp,       ///< subject: session
  kCheck,        ///< subject: balancer; detail: its backend
  kRamp,         ///< subject: balancer
  kLetBack,      ///< subject: balancer; detail: its backend
  kLook,         ///< subject: balancer
  kAction,       ///< subject: index into the timetable
};

struct Event {
  std::uint64_t at;  ///< nanoseconds
  std::uint64_t order = 0;
  What what;
  std::uint32_t subject = 0;
  std::uint32_t detail = 0;  ///< of sessions and jobs: which use of the subject it was planned for
};

class Timeline {
 public:
  std::uint64_t now() const noexcept { return now_; }
  void plan(std::uint64_t at, What what, std::uint32_t subject = 0, std::uint32_t detail = 0) {
    events_.push({at, planned_++, what, subject, detail});
  }
  bool empty() const noexcept { return events_.empty(); }
  /// The next event; the clock moves to it.
  Event next() {
    const Event event = events_.top();
    events_.pop();
    now_ = event.at;
    return event;
  }

 private:
  struct Later {
    bool operator()(const Event& a, const Event& b) const noexcept {
      return a.at != b.at ? a.at > b.at : a.order > b.order;
    }
  };
  std::priority_queue<Event, std::vector<Event>, Later> events_;
  std::uint64_t planned_ = 0;
  std::uint64_t now_ = 1'000 * kSecond;  // monotonic clocks do not begin at 0
};

}  // namespace lemonade::sim
