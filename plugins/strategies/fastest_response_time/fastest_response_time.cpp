// SPDX-License-Identifier: MIT
//
// Fastest response time: the least latency * load, as nginx's least_time, over beliefs that failures, silence and age
// cannot fool (sdk/latency_book.hpp). Near-equals take turns by weight.
#include <lemonade/sdk/latency_book.hpp>

namespace {

namespace sdk = lemonade::sdk;

class FastestResponseTime : public sdk::Strategy {
 public:
  using Prepared = sdk::LatencyBook;

  static constexpr lemonade_option_t kOptions[] = {
      sdk::option(
          "half_life", LEMONADE_OPTION_DURATION, "10s",
          "After this long without a sample, what is known of a backend counts half, and the pool's median half.", 100,
          3'600'000),
      sdk::option("tolerance", LEMONADE_OPTION_NUMBER, "1.25",
                  "Backends whose score is within this factor of the best are equals and take turns.", 1, 10),
  };

  explicit FastestResponseTime(const sdk::Options& options)
      : half_life_(options.duration("half_life")), tolerance_(options.number("tolerance")) {}

  std::unique_ptr<sdk::LatencyBook> prepare(sdk::View view) {
    return std::make_unique<sdk::LatencyBook>(view, half_life_);
  }

  std::uint32_t pick(const sdk::Pick<sdk::LatencyBook>& pick) noexcept {
    if (pick.prepared == nullptr) return sdk::anyAllowed(pick);
    const auto& book = *pick.prepared;
    book.renew(pick.connection);
    sdk::Shortlist list;
    book.candidates().shortlist(pick.connection, list, [&](std::uint32_t position, std::uint32_t active) {
      const auto estimate = book.estimate(position, pick.connection);
      return estimate.latency_ns * book.handicappedLoad(position, active, estimate);
    });
    return book.candidates().least(list, tolerance_, turn_);
  }

 private:
  const std::chrono::nanoseconds half_life_;
  const double tolerance_;
  std::atomic<std::uint32_t> turn_{0};
};

}  // namespace

LEMONADE_STRATEGY(FastestResponseTime, .id = "fastest_response_time", .version = "1.0.0",
                  .name = "Fastest response time", .vendor = "Lemonade",
                  .doc = "Picks the backend with the least product of response time and sessions for its weight.")
