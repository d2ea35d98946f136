// SPDX-License-Identifier: MIT
//
// What the strategies that go by response time have in common: how long they remember, and the book they prepare.
#pragma once

#include <lemonade/sdk/latency_book.hpp>

namespace lemonade::sdk {

/// Base of a strategy that picks by a LatencyBook.
class LatencyStrategy : public Strategy {
 public:
  using Prepared = LatencyBook;

  /// Row of the option schema that the constructor reads.
  static constexpr lemonade_option_t kHalfLife =
      option("half_life", LEMONADE_OPTION_DURATION, "1s",
             "After this long without a sample, and a hundred connections, what is known of a backend counts half.",
             100, 3'600'000);

  explicit LatencyStrategy(const Options& options, const ZonePreference& zones = {})
      : memory_(options.duration("half_life")), zones_(zones) {}

  std::unique_ptr<LatencyBook> prepare(View view) { return std::make_unique<LatencyBook>(view, memory_, zones_); }

 protected:
  /// What pick answers: LatencyBook::least, or anyAllowed where there is no book. [worker]
  template <class Sessions>
  std::uint32_t least(const Pick<LatencyBook>& pick, double tolerance, Sessions&& sessions) noexcept {
    if (pick.prepared == nullptr) return anyAllowed(pick);
    return pick.prepared->least(pick.connection, tolerance, turns_, sessions);
  }

 private:
  Memory memory_;
  const ZonePreference zones_;
  LatencyBook::Turns turns_;
};

}  // namespace lemonade::sdk
