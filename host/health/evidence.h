// SPDX-License-Identifier: MIT
//
// What the trial of a backend has shown so far, weighed. Five points against it for each client that failed there, and
// one for each that was answered elsewhere in its place. Neither counts alone: no more failures there than answers
// elsewhere, and three answers elsewhere for each failure there at most. Seven points for it for each client that was
// answered there, and six for each that failed elsewhere. kEnough points against it convict.
//
// Where its clients are at fault, a coin that they can not see sends one in four of them here, so whatever each of them
// does, the chances are against the sum: 1.25^sum does not grow on average (a martingale, or less: 1/4 * 1.25^5 + 3/4 *
// 1.25^-6 and 3/4 * 1.25 + 1/4 * 1.25^-7 are below 1). Such a sum reaches n with a probability of at most 1.25^-n, for
// 40 points once in 7,500 times; and whoever tries that again and again is soon at the bottom, from where it takes a
// number of coins that nobody has the time for.
//
// Where the backend fails all and a share of the clients sends garbage, which fails elsewhere as well, the sum grows on
// average by 1/4 * 5 + 3/4 * (1 - 7 * share) with each coin, which is above 0 up to a share of 0.38.
//
// A plain value.
#pragma once

#include "balance/trial.h"

#include <algorithm>
#include <cstdint>

namespace lemonade::health {

class Evidence {
 public:
  static constexpr std::int64_t kEnough = 40;

  void add(const Trial::Outcomes& outcomes) noexcept {
    failed_here_ += outcomes.failed_here;
    answered_elsewhere_ += outcomes.answered_elsewhere;
    for_it_ += kAnsweredHere * outcomes.answered_here + kFailedElsewhere * outcomes.failed_elsewhere;
    // Exactly at the bottom nothing is to be cut: failures and answers that do not count yet stay.
    if (points() >= -kBottom) return;
    failed_here_ = answered_elsewhere_ = 0;
    for_it_ = kBottom;
  }
  /// Begins anew.
  void forget() noexcept { *this = {}; }
  /// Takes back a part of what spoke for the backend, which time makes less of.
  void fade() noexcept { for_it_ = std::max<std::int64_t>(0, for_it_ - kFaded); }

  std::int64_t points() const noexcept {
    return kFailedHere * std::min(failed_here_, answered_elsewhere_) +
           std::min(answered_elsewhere_, kElsewhereForEach * failed_here_) - for_it_;
  }
  bool convicts() const noexcept { return points() >= kEnough; }

  std::int64_t failedHere() const noexcept { return failed_here_; }
  std::int64_t answeredElsewhere() const noexcept { return answered_elsewhere_; }

 private:
  static constexpr std::int64_t kFailedHere = 5;
  static constexpr std::int64_t kElsewhereForEach = 3;
  static constexpr std::int64_t kAnsweredHere = 7;
  static constexpr std::int64_t kFailedElsewhere = 6;
  static constexpr std::int64_t kBottom = 60;
  static constexpr std::int64_t kFaded = 6;

  std::int64_t failed_here_ = 0;
  std::int64_t answered_elsewhere_ = 0;
  std::int64_t for_it_ = 0;
};

}  // namespace lemonade::health
