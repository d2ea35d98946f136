// SPDX-License-Identifier: MIT
//
// Adaptive: the least latency * work, where work is what a backend owes rather than how many sessions it has.
//
//   work = (1 + sessions that are not quiet + 0.3 * quiet ones - done) / weight
//   done = mean age of the exchanges that wait / response time, at most 0.5
//
// A session is quiet when it was answered and has asked nothing since. It may be idle, or be receiving a long answer,
// or be about to ask; any other is work for sure, and the longer it has been under way the more of it is done. Where
// nobody answers exchanges, as with one-way protocols, work is sessions. What is believed of latency, and the handicap
// of a backend that fails, is sdk/latency_book.hpp; why no backend is called overloaded here is
// docs/decisions/0008-adaptive-multiplies.md. When a backend of the balancer's own zone is worse than one elsewhere is
// said there too, and why in docs/decisions/0073-own-zone-first.md.
#include "why.h"

#include <lemonade/sdk/latency_strategy.hpp>

namespace {

namespace sdk = lemonade::sdk;

class Adaptive : public sdk::LatencyStrategy {
 public:
  static constexpr lemonade_option_t kOptions[] = {
      kHalfLife,
      sdk::kZoneAware,
      sdk::option(
          "zone_tolerance", LEMONADE_OPTION_NUMBER, "2",
          "How many times the response time of the best backend elsewhere one of the balancer's own zone may have "
          "and still be preferred.",
          1, 1'000'000),
  };

  explicit Adaptive(const sdk::Options& options)
      : LatencyStrategy(options, {options.boolean("zone_aware"), options.number("zone_tolerance")}) {}

  std::uint32_t pick(const sdk::Pick<sdk::LatencyBook>& pick) noexcept {
    const std::uint64_t now = pick.connection.now_ns;
    return least(pick, 1, [now](const lemonade_backend_stats_t& stats, std::uint32_t active) {
      return work(stats, active, now);
    });
  }

  void why(const sdk::Pick<sdk::LatencyBook>& pick, std::uint32_t index, sdk::Reason& reason) noexcept {
    explainAdaptive(pick, index, reason);
  }

 private:
  static constexpr double kQuietShare = 0.3;
  static constexpr double kMostDone = 0.5;

  /// With the connection that comes, before it is divided by weight.
  static double work(const lemonade_backend_stats_t& stats, std::uint32_t active, std::uint64_t now) noexcept {
    const std::uint32_t quiet = std::min(lemonade_load_u32(&stats.quiet), active);
    const double owed = (active - quiet) + kQuietShare * quiet - (active == 0 ? 0 : done(stats, now));
    return 1 + owed;
  }

  /// The part of one request that is behind a backend, 0 to 0.5.
  static double done(const lemonade_backend_stats_t& stats, std::uint64_t now) noexcept {
    const double takes = lemonade_load_f64(&stats.exchange_ewma_ns);
    return takes > 0 ? std::min(kMostDone, static_cast<double>(lemonade_mean_wait_ns(&stats, now)) / takes) : 0;
  }
};

}  // namespace

LEMONADE_STRATEGY(Adaptive, .id = "adaptive", .version = "1.0.0", .name = "Adaptive", .vendor = "Lemonade",
                  .doc = "Picks the least product of response time and work that is owed. The one to leave on.",
                  .flags = LEMONADE_FLAG_UNLOAD_SAFE)
