// SPDX-License-Identifier: MIT
//
// Fastest response time: the least latency * sessions, as nginx's least_time, over beliefs that failures, silence and
// age cannot fool (sdk/latency_book.hpp). Near-equals take turns by weight.
#include <lemonade/sdk/latency_strategy.hpp>
#include <lemonade/sdk/reasons.hpp>

namespace {

namespace sdk = lemonade::sdk;

class FastestResponseTime : public sdk::LatencyStrategy {
 public:
  static constexpr lemonade_option_t kOptions[] = {
      kHalfLife,
      sdk::option("tolerance", LEMONADE_OPTION_NUMBER, "1.25",
                  "Backends whose score is within this factor of the best are equals and take turns.", 1, 10),
  };

  explicit FastestResponseTime(const sdk::Options& options)
      : LatencyStrategy(options), tolerance_(options.number("tolerance")) {}

  std::uint32_t pick(const sdk::Pick<sdk::LatencyBook>& pick) noexcept {
    return least(pick, tolerance_,
                 [](const lemonade_backend_stats_t&, std::uint32_t active) { return static_cast<double>(active) + 1; });
  }

  void why(const sdk::Pick<sdk::LatencyBook>& pick, std::uint32_t index, sdk::Reason& reason) noexcept {
    sdk::explainLatency(pick, index, reason);
  }

 private:
  const double tolerance_;
};

}  // namespace

LEMONADE_STRATEGY(FastestResponseTime, .id = "fastest_response_time", .version = "1.0.0",
                  .name = "Fastest response time", .vendor = "Lemonade",
                  .doc = "Picks the backend with the least product of response time and sessions for its weight.",
                  .flags = LEMONADE_FLAG_UNLOAD_SAFE)
