// SPDX-License-Identifier: MIT
//
// For strategies that go by response time: what is believed of each backend's speed, and how loaded the pool is.
//
// The host measures; this judges. The average of successful samples (exchanges, else connects) is all that counts as
// speed, and is qualified by what it cannot show:
//   - time: without new samples the belief decays toward the median of the pool, so that a backend which was slow once is
//     tried again and one that was fast once is not trusted for ever;
//   - silence: exchanges that still wait are at least as slow as they are old, so a hung backend is seen at once;
//   - failure: errors multiply the latency, and add a handicap to the load: a backend that fails at once is always idle,
//     and its idleness must not look like capacity. The errors are forgotten with time too, which is how it is probed;
//   - ignorance: a backend without a sample is taken for the median, and gets few sessions until it has shown itself.
// The beliefs are renewed at most once a millisecond, by whichever worker comes first; picks read the result.
#pragma once

#include <lemonade/sdk/candidates.hpp>

#include <chrono>

namespace lemonade::sdk {

/// What is believed of one backend.
struct Estimate {
  double latency_ns;          ///< above 0, penalties included
  double handicap;            ///< added to its load, in multiples of the pool's mean load; 0 for a sound backend
  std::uint32_t probe_limit;  ///< sessions that it may have before it counts as fully handicapped; 2^32 - 1: no limit
};

/// Quantile `q` of ascending values (at least one), interpolated between neighbours.
inline double quantile(std::span<const double> ascending, double q) noexcept {
  const double at = q * static_cast<double>(ascending.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  if (below + 1 >= ascending.size()) return ascending.back();
  return ascending[below] + (at - static_cast<double>(below)) * (ascending[below + 1] - ascending[below]);
}

/// 2^-x for x >= 0, linear between whole numbers (at most 6 % above): by the exponent bits of the result.
inline double halvings(double x) noexcept {
  constexpr double kOne = 0x1p52;
  if (x >= 60) return 0;
  return std::bit_cast<double>((std::uint64_t{1023} << 52) - static_cast<std::uint64_t>(x * kOne));
}

/// The candidates of a view and the beliefs about them. Valid as long as the view.
class LatencyBook {
 public:
  static constexpr double kFullHandicap = 5;  ///< of a backend that only fails

  /// half_life: how fast old samples and old errors lose weight, above 0. Allocates. [control]
  LatencyBook(View view, std::chrono::nanoseconds half_life)
      : candidates_(view), per_half_life_(1 / static_cast<double>(half_life.count())) {}

  const Candidates& candidates() const noexcept { return candidates_; }

  /// Renews what is older than a millisecond. Call at the start of each pick. [worker]
  void renew(const lemonade_connection_t& connection) const noexcept {
    auto last = renewed_at_.load(std::memory_order_relaxed);
    // Signed: another worker's clock may be a little ahead.
    if (static_cast<std::int64_t>(connection.now_ns - last) < kFreshNs) return;
    if (!renewed_at_.compare_exchange_strong(last, connection.now_ns, std::memory_order_relaxed)) return;
    survey(connection);
    if (!candidates_.small()) return;
    for (std::uint32_t i = 0; i < candidates_.size(); ++i) beliefs_[i].store(judge(candidates_[i], connection.now_ns));
  }

  /// What is believed of the candidate at a position. [worker]
  Estimate estimate(std::uint32_t position, const lemonade_connection_t& connection) const noexcept {
    return candidates_.small() ? beliefs_[position].load() : judge(candidates_[position], connection.now_ns);
  }

  /// Load of the candidate with that many sessions, if one more came, together with its handicap. [worker]
  double handicappedLoad(std::uint32_t position, std::uint32_t active, const Estimate& estimate) const noexcept {
    const double handicap = active >= estimate.probe_limit ? kFullHandicap : estimate.handicap;
    return candidates_[position].load(active) + handicap * meanLoad();
  }

  /// Mean and 84 % quantile of the load, without handicaps, over the pool (of a large one, over a sample of 32).
  /// [worker]
  double meanLoad() const noexcept { return mean_load_.load(std::memory_order_relaxed); }
  double highLoad() const noexcept { return high_load_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::int64_t kFreshNs = 1'000'000;
  static constexpr double kLeastLatencyNs = 50'000;  // below, differences are the scheduler's
  static constexpr std::uint32_t kSample = 32;
  static constexpr std::uint32_t kProbes = 2;

  /// An Estimate that one worker writes while others read; its parts need not belong together.
  class Belief {
   public:
    void store(const Estimate& estimate) noexcept {
      latency_.store(estimate.latency_ns, std::memory_order_relaxed);
      handicap_.store(estimate.handicap, std::memory_order_relaxed);
      probe_limit_.store(estimate.probe_limit, std::memory_order_relaxed);
    }
    Estimate load() const noexcept {
      return {latency_.load(std::memory_order_relaxed), handicap_.load(std::memory_order_relaxed),
              probe_limit_.load(std::memory_order_relaxed)};
    }

   private:
    std::atomic<double> latency_{kLeastLatencyNs};
    std::atomic<double> handicap_{0};
    std::atomic<std::uint32_t> probe_limit_{std::numeric_limits<std::uint32_t>::max()};
  };

  /// Looks at the whole pool, or at 32 backends of a large one, for what is usual.
  void survey(const lemonade_connection_t& connection) const noexcept {
    std::array<double, kSample> loads, exchanges, connects;
    std::uint32_t count = 0, exchange_count = 0, connect_count = 0;
    double sum = 0;
    const std::uint32_t size = candidates_.size();
    const std::uint32_t stride = std::max(1u, size / kSample);
    auto at = static_cast<std::uint32_t>((connection.random >> 32) * size >> 32);
    for (; count < std::min(size, kSample); ++count) {
      const Candidate& candidate = candidates_[at];
      loads[count] = candidate.load(candidate.active());
      sum += loads[count];
      const double exchange = lemonade_load_f64(&candidate.stats->exchange_ewma_ns);
      const double connect = lemonade_load_f64(&candidate.stats->connect_ewma_ns);
      if (exchange > 0) exchanges[exchange_count++] = exchange;
      if (connect > 0) connects[connect_count++] = connect;
      at += stride;
      if (at >= size) at -= size;
    }
    if (count == 0) return;
    std::sort(loads.begin(), loads.begin() + count);
    mean_load_.store(sum / count, std::memory_order_relaxed);
    high_load_.store(quantile({loads.data(), count}, 0.84), std::memory_order_relaxed);
    // The two kinds are never compared with each other: where any backend answers exchanges, they decide.
    by_exchange_.store(exchange_count > 0, std::memory_order_relaxed);
    median_.store(exchange_count > 0 ? lowerMedian({exchanges.data(), exchange_count})
                                     : lowerMedian({connects.data(), connect_count}),
                  std::memory_order_relaxed);
  }

  /// The lower of two middle values: of two backends the faster sets the expectation.
  static double lowerMedian(std::span<double> values) noexcept {
    if (values.empty()) return kLeastLatencyNs;
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
  }

  /// How much of something seen at `then` still counts, 1 to 0.
  double remaining(std::uint64_t then, std::uint64_t now) const noexcept {
    return now > then ? halvings(static_cast<double>(now - then) * per_half_life_) : 1;
  }

  /// Share of sessions that fail lately, 0 to 1. A second failure in a row says more than the slow average does yet.
  double recentErrors(const lemonade_backend_stats_t& stats, std::uint32_t streak, std::uint64_t now) const noexcept {
    const std::uint64_t failed_at = lemonade_load_u64(&stats.failed_at_ns);
    if (failed_at == 0) return 0;
    const double in_a_row = streak < 2 ? 0 : (streak - 1.0) / (streak + 2.0);
    return std::max<double>(lemonade_load_f32(&stats.error_rate), in_a_row) * remaining(failed_at, now);
  }

  Estimate judge(const Candidate& candidate, std::uint64_t now) const noexcept {
    const auto& stats = *candidate.stats;
    const bool by_exchange = by_exchange_.load(std::memory_order_relaxed);
    const double own = lemonade_load_f64(by_exchange ? &stats.exchange_ewma_ns : &stats.connect_ewma_ns);
    const double median = median_.load(std::memory_order_relaxed);
    const double known = own > 0 ? remaining(lemonade_load_u64(&stats.sampled_at_ns), now) : 0;
    const double believed = median + (own - median) * known;
    const auto waited = static_cast<double>(lemonade_mean_wait_ns(&stats, now));
    const std::uint32_t streak = lemonade_load_u32(&stats.fail_streak);
    const double errors = recentErrors(stats, streak, now);
    return {std::max({believed, waited, kLeastLatencyNs}) * (1 + 4 * errors), kFullHandicap * errors,
            own > 0 && streak < 2 ? std::numeric_limits<std::uint32_t>::max() : kProbes};
  }

  // Constant after construction.
  const Candidates candidates_;
  const double per_half_life_;

  // Any worker (atomic): a survey's results, each good without the others.
  mutable std::atomic<std::uint64_t> renewed_at_{0};
  mutable std::atomic<double> mean_load_{1};
  mutable std::atomic<double> high_load_{1};
  mutable std::atomic<double> median_{kLeastLatencyNs};
  mutable std::atomic<bool> by_exchange_{false};
  mutable std::array<Belief, Shortlist::kCapacity> beliefs_;  // of a small pool
};

}  // namespace lemonade::sdk
