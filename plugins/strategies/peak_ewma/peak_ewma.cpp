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
#include <lemonade/sdk/reasons.hpp>

namespace {

namespace sdk = lemonade::sdk;

/// What a backend costs at one moment; halvings_per_ns is how fast that is forgotten. 0 where nothing is known of it.
double costOf(const lemonade_backend_stats_t& stats, std::uint64_t now, double halvings_per_ns) noexcept {
  constexpr double kFailureNs = 1e9;
  const auto decayed = [&](double value, std::uint64_t since) {
    return now > since ? value * sdk::halvings(static_cast<double>(now - since) * halvings_per_ns) : value;
  };
  const double exchange = lemonade_load_f64(&stats.exchange_ewma_ns);
  const double own = exchange > 0 ? exchange : lemonade_load_f64(&stats.connect_ewma_ns);
  double cost = own > 0 ? decayed(own, lemonade_load_u64(&stats.sampled_at_ns)) : 0;
  cost = std::max(cost, static_cast<double>(lemonade_mean_wait_ns(&stats, now)));
  if (const auto failed_at = lemonade_load_u64(&stats.failed_at_ns); failed_at != 0) {
    const double share = lemonade_load_u32(&stats.fail_streak) != 0 ? 1 : lemonade_load_f32(&stats.error_rate);
    cost = std::max(cost, decayed(kFailureNs * share, failed_at));
  }
  return cost;
}

/// The candidates of a view and what they cost: of a small pool as it was up to a millisecond ago.
class Costs {
 public:
  Costs(sdk::View view, double halvings_per_ns) : candidates_(view), halvings_per_ns_(halvings_per_ns) {}

  /// What pick answers. [worker]
  std::uint32_t least(const lemonade_connection_t& connection, std::atomic<std::uint32_t>& turn) const noexcept {
    // Signed: another worker's clock may be a little ahead.
    const auto age = static_cast<std::int64_t>(connection.now_ns - renewed_at_.load(std::memory_order_relaxed));
    if (age >= kFreshNs && candidates_.small()) [[unlikely]]
      renew(connection.now_ns);
    return candidates_.least(
        connection, 1, turn,
        [&](std::uint32_t position, std::uint32_t active) {
          const Known& known = known_[active != 0][position];
          return known.for_each.load(std::memory_order_relaxed) * (static_cast<double>(active) + 1) +
                 known.anyway.load(std::memory_order_relaxed);
        },
        [&](std::uint32_t position, std::uint32_t active) {
          const auto& candidate = candidates_[position];
          const double cost = costOf(*candidate.stats, connection.now_ns, halvings_per_ns_);
          return cost == 0 && active != 0 ? candidate.load(active) + kUnknown : cost * candidate.load(active);
        });
  }

 private:
  static constexpr std::int64_t kFreshNs = 1'000'000;
  // Where nothing is known and something is under way: wait for what it teaches, unless the others are as unknown.
  // Above any cost * sessions, and fine enough to tell loads apart.
  static constexpr double kUnknown = 1e15;

  /// What makes a score of a number of sessions. One worker writes while others read; the two need not belong together.
  struct Known {
    std::atomic<double> for_each{0};  // cost / weight
    std::atomic<double> anyway{0};
  };

  /// By whichever worker comes first. Apart, so that the many picks in between do not carry its registers.
  [[gnu::noinline, gnu::cold]] void renew(std::uint64_t now) const noexcept {
    auto last = renewed_at_.load(std::memory_order_relaxed);
    if (static_cast<std::int64_t>(now - last) < kFreshNs) return;
    if (!renewed_at_.compare_exchange_strong(last, now, std::memory_order_relaxed)) return;
    for (std::uint32_t i = 0; i < candidates_.size(); ++i) {
      const double cost = costOf(*candidates_[i].stats, now, halvings_per_ns_);
      const double share = candidates_[i].load_per_session;
      known_[0][i].for_each.store(cost * share, std::memory_order_relaxed);
      known_[1][i].for_each.store(cost == 0 ? share : cost * share, std::memory_order_relaxed);
      known_[1][i].anyway.store(cost == 0 ? kUnknown : 0, std::memory_order_relaxed);
    }
  }

  // Constant after construction.
  const sdk::Candidates candidates_;
  const double halvings_per_ns_;

  // Any worker (atomic).
  mutable std::atomic<std::uint64_t> renewed_at_{0};
  // Idle backends, and others. A table, since which half is read is luck: no branch.
  mutable std::array<std::array<Known, sdk::Candidates::kSmall>, 2> known_;
};

class PeakEwma : public sdk::Strategy {
 public:
  using Prepared = Costs;

  static constexpr lemonade_option_t kOptions[] = {
      sdk::option("decay", LEMONADE_OPTION_DURATION, "10s",
                  "Time constant: after this long without a sample the cost of a backend is down to 37 %.", 10,
                  3'600'000),
  };

  explicit PeakEwma(const sdk::Options& options)
      : halvings_per_ns_(std::numbers::log2e / static_cast<double>(options.duration("decay").count())) {}

  std::unique_ptr<Costs> prepare(sdk::View view) { return std::make_unique<Costs>(view, halvings_per_ns_); }

  std::uint32_t pick(const sdk::Pick<Costs>& pick) noexcept {
    if (pick.prepared == nullptr) return sdk::anyAllowed(pick);
    return pick.prepared->least(pick.connection, turn_);
  }

  void why(const sdk::Pick<Costs>& pick, std::uint32_t index, sdk::Reason& reason) noexcept {
    const double cost = costOf(*pick.view[index].stats, pick.connection.now_ns, halvings_per_ns_);
    reason.add("the least cost for its sessions: ").add(cost / 1e6, 2).add(" ms times ");
    reason.add(sdk::active(pick.view[index]) + 1).add(" by weight ").add(pick.view[index].weight).add(", of ");
    sdk::explainAmong(static_cast<std::uint32_t>(pick.view.eligible().size()), reason);
  }

 private:
  const double halvings_per_ns_;
  std::atomic<std::uint32_t> turn_{0};
};

}  // namespace

LEMONADE_STRATEGY(PeakEwma, .id = "peak_ewma", .version = "1.0.0", .name = "Peak EWMA", .vendor = "Lemonade",
                  .doc = "Picks the least product of sessions and a response time that remembers its peaks.",
                  .flags = LEMONADE_FLAG_UNLOAD_SAFE)
