// SPDX-License-Identifier: MIT
//
// What the strategies that go by response time have in common: their two options and the book they prepare.
#pragma once

#include <lemonade/sdk/latency_book.hpp>

namespace lemonade::sdk {

/// Base of a strategy that picks by a LatencyBook; it adds pick and a constructor (`using LatencyStrategy::...`).
class LatencyStrategy : public Strategy {
 public:
  using Prepared = LatencyBook;

  static constexpr lemonade_option_t kOptions[] = {
      option("half_life", LEMONADE_OPTION_DURATION, "10s",
             "After this long without a sample, what is known of a backend counts half, and the pool's median half.",
             100, 3'600'000),
      option("tolerance", LEMONADE_OPTION_NUMBER, "1.25",
             "Backends within this factor of the best are equals and take turns.", 1, 10),
  };

  explicit LatencyStrategy(const Options& options)
      : half_life_(options.duration("half_life")), tolerance_(options.number("tolerance")) {}

  std::unique_ptr<LatencyBook> prepare(View view) { return std::make_unique<LatencyBook>(view, half_life_); }

 protected:
  /// What pick answers: the listed backend with the least score, where near-equals take turns. [worker]
  std::uint32_t leastOf(const Candidates& candidates, const Shortlist& list) noexcept {
    return candidates.least(list, tolerance_, turn_);
  }
  /// The same, without tolerance. [worker]
  std::uint32_t strictlyLeastOf(const Candidates& candidates, const Shortlist& list) noexcept {
    return candidates.least(list, 1, turn_);
  }

 private:
  const std::chrono::nanoseconds half_life_;
  const double tolerance_;
  std::atomic<std::uint32_t> turn_{0};
};

}  // namespace lemonade::sdk
