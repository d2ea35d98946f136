// SPDX-License-Identifier: MIT
//
// Fastest response time: the least latency * sessions, as nginx's least_time, over beliefs that failures, silence and
// age cannot fool (sdk/latency_book.hpp). Near-equals take turns by weight.
#include <lemonade/sdk/latency_strategy.hpp>

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
    if (pick.prepared == nullptr) return sdk::anyAllowed(pick);
    const auto& book = *pick.prepared;
    book.renew(pick.connection);
    sdk::Shortlist list;
    book.candidates().shortlist(pick.connection, list, [&](std::uint32_t position, std::uint32_t active) {
      return book.score(position, active, book.candidates()[position].load(active), pick.connection);
    });
    return least(book, list, tolerance_);
  }

 private:
  const double tolerance_;
};

}  // namespace

LEMONADE_STRATEGY(FastestResponseTime, .id = "fastest_response_time", .version = "1.0.0",
                  .name = "Fastest response time", .vendor = "Lemonade",
                  .doc = "Picks the backend with the least product of response time and sessions for its weight.")
