// SPDX-License-Identifier: MIT
//
// Peak EWMA, as Finagle defines it: the least cost * (sessions + 1), where cost is a moving average of response time
// that jumps up to every peak and decays with time, also while nothing is measured.
//
// The host keeps the average and its peaks; here it goes on decaying from its newest sample to now, so that a backend
// which had a peak is tried again. Two things Finagle leaves open are closed: a failure counts as a peak of a second,
// since an error that comes quickly is not a quick answer, and an exchange that still waits is at least as slow as it
// is old.
#include <lemonade/sdk/latency_book.hpp>

namespace {

namespace sdk = lemonade::sdk;

class PeakEwma : public sdk::Strategy {
 public:
  using Prepared = sdk::Candidates;

  static constexpr lemonade_option_t kOptions[] = {
      sdk::option("decay", LEMONADE_OPTION_DURATION, "10s",
                  "Time constant: after this long without a sample the cost of a backend is down to 37 %.", 10,
                  3'600'000),
  };

  explicit PeakEwma(const sdk::Options& options)
      : halvings_per_ns_(std::numbers::log2e / static_cast<double>(options.duration("decay").count())) {}

  std::unique_ptr<sdk::Candidates> prepare(sdk::View view) { return std::make_unique<sdk::Candidates>(view); }

  std::uint32_t pick(const sdk::Pick<sdk::Candidates>& pick) noexcept {
    if (pick.prepared == nullptr) return sdk::anyAllowed(pick);
    const auto& candidates = *pick.prepared;
    sdk::Shortlist list;
    candidates.shortlist(pick.connection, list, [&](std::uint32_t position, std::uint32_t active) {
      const auto& candidate = candidates[position];
      const double cost = costOf(*candidate.stats, pick.connection.now_ns);
      // Nothing is known and something is under way: wait for what it teaches, unless the others are as unknown.
      if (cost == 0 && active != 0) return kUnknown + candidate.load(active);
      return cost * candidate.load(active);
    });
    return candidates.least(list, 1, turn_);
  }

 private:
  static constexpr double kFailureNs = 1e9;
  static constexpr double kUnknown = 1e15;  // above any cost * sessions, and fine enough to tell loads apart

  double decayed(double value, std::uint64_t since, std::uint64_t now) const noexcept {
    return now > since ? value * sdk::halvings(static_cast<double>(now - since) * halvings_per_ns_) : value;
  }

  /// 0 where nothing is known of the backend.
  double costOf(const lemonade_backend_stats_t& stats, std::uint64_t now) const noexcept {
    const double exchange = lemonade_load_f64(&stats.exchange_ewma_ns);
    const double own = exchange > 0 ? exchange : lemonade_load_f64(&stats.connect_ewma_ns);
    double cost = own > 0 ? decayed(own, lemonade_load_u64(&stats.sampled_at_ns), now) : 0;
    cost = std::max(cost, static_cast<double>(lemonade_mean_wait_ns(&stats, now)));
    if (const auto failed_at = lemonade_load_u64(&stats.failed_at_ns); failed_at != 0) {
      const double share = lemonade_load_u32(&stats.fail_streak) != 0 ? 1 : lemonade_load_f32(&stats.error_rate);
      cost = std::max(cost, decayed(kFailureNs * share, failed_at, now));
    }
    return cost;
  }

  const double halvings_per_ns_;
  std::atomic<std::uint32_t> turn_{0};
};

}  // namespace

LEMONADE_STRATEGY(PeakEwma, .id = "peak_ewma", .version = "1.0.0", .name = "Peak EWMA", .vendor = "Lemonade",
                  .doc = "Picks the least product of sessions and a response time that remembers its peaks.")
