// SPDX-License-Identifier: MIT
//
// Adaptive: the least latency * work, where work is what a backend owes rather than how many sessions it has.
//
//   work = (1 + sessions that are not quiet + 0.3 * quiet ones + what the one under way is beyond the usual) / weight
//
// A session is quiet when it was answered and has asked nothing since. It may be idle, or be receiving a long answer,
// or be about to ask; any other is work for sure. Where nobody answers exchanges, as with one-way protocols, work is
// sessions. What is believed of latency and of the exchange under way, and the handicap of a backend that fails, is
// sdk/latency_book.hpp; why no backend is called overloaded here is docs/decisions/0008-adaptive-multiplies.md, and how
// far differences are believed docs/decisions/0110-a-difference-is-believed-as-far-as-it-is-shown.md. When a backend of
// the balancer's own zone is worse than one elsewhere is said in sdk/latency_book.hpp, and why in
// docs/decisions/0073-own-zone-first.md.
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
          "zone_tolerance", LEMONADE_OPTION_NUMBER, "3",
          "How many times the response time of the best backend elsewhere one of the balancer's own zone may have "
          "and still be preferred.",
          1, 1'000'000),
  };

  explicit Adaptive(const sdk::Options& options)
      : LatencyStrategy(options, {options.boolean("zone_aware"), options.number("zone_tolerance")}) {}

  std::uint32_t pick(const sdk::Pick<sdk::LatencyBook>& pick) noexcept {
    return least(pick, 1,
                 [](const lemonade_backend_stats_t& stats, std::uint32_t active) { return work(stats, active); });
  }

  void why(const sdk::Pick<sdk::LatencyBook>& pick, std::uint32_t index, sdk::Reason& reason) noexcept {
    explainAdaptive(pick, index, reason);
  }

 private:
  static constexpr double kQuietShare = 0.3;

  /// With the connection that comes, before it is divided by weight.
  static double work(const lemonade_backend_stats_t& stats, std::uint32_t active) noexcept {
    const std::uint32_t quiet = std::min(lemonade_load_u32(&stats.quiet), active);
    return 1 + (active - quiet) + kQuietShare * quiet;
  }
};

}  // namespace

LEMONADE_STRATEGY(Adaptive, .id = "adaptive", .version = "1.0.0", .name = "Adaptive", .vendor = "Lemonade",
                  .doc = "Picks the least product of response time and work that is owed. The one to leave on.",
                  .flags = LEMONADE_FLAG_UNLOAD_SAFE)
