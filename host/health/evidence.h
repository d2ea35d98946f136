// SPDX-License-Identifier: MIT
//
// What the trial of a backend has shown so far, weighed. One point against it for each client that failed there, and one
// for each that was answered elsewhere in its place, where of the two sorts no more count than there are of the other;
// three points for it for each client that was answered there, or failed elsewhere. kEnough points against it convict.
//
// Where its clients are at fault, each of them is sent here or elsewhere by a coin that it can not see, so whatever it does
// gives one point or takes three, with the same chance. Such a sum reaches n with a probability of at most 1.839^-n
// (1.839 + 1.839^-3 = 2: the martingale 1.839^sum), for 14 points once in 5,000 times; and whoever tries that again and
// again is soon at the bottom, from where it takes a number of coins that nobody has the time for.
//
// A plain value.
#pragma once

#include "balance/trial.h"

#include <algorithm>
#include <cstdint>

namespace lemonade::health {

class Evidence {
 public:
  static constexpr std::int64_t kEnough = 14;

  void add(const Trial::Outcomes& outcomes) noexcept {
    failed_here_ += outcomes.failed_here;
    answered_elsewhere_ += outcomes.answered_elsewhere;
    otherwise_ += outcomes.answered_here + outcomes.failed_elsewhere;
    if (points() > -kBottom) return;
    failed_here_ = answered_elsewhere_ = 0;
    otherwise_ = kBottom / kOtherwise;
  }
  /// Begins anew.
  void forget() noexcept { *this = {}; }
  /// Takes back a part of what spoke for the backend, which time makes less of.
  void fade() noexcept { otherwise_ -= otherwise_ != 0; }

  std::int64_t points() const noexcept {
    return 2 * std::min(failed_here_, answered_elsewhere_) - kOtherwise * otherwise_;
  }
  bool convicts() const noexcept { return points() >= kEnough; }

  std::int64_t failedHere() const noexcept { return failed_here_; }
  std::int64_t answeredElsewhere() const noexcept { return answered_elsewhere_; }

 private:
  static constexpr std::int64_t kOtherwise = 3;
  static constexpr std::int64_t kBottom = 24;

  std::int64_t failed_here_ = 0;
  std::int64_t answered_elsewhere_ = 0;
  std::int64_t otherwise_ = 0;
};

}  // namespace lemonade::health
