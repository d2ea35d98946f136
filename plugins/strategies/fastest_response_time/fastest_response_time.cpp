// SPDX-License-Identifier: MIT
//
// Fastest response time: the least latency * load, as nginx's least_time, over beliefs that failures, silence and age
// cannot fool (sdk/latency_book.hpp). Near-equals take turns by weight.
#include <lemonade/sdk/latency_strategy.hpp>

namespace {

namespace sdk = lemonade::sdk;

class FastestResponseTime : public sdk::LatencyStrategy {
 public:
  using LatencyStrategy::LatencyStrategy;

  std::uint32_t pick(const sdk::Pick<sdk::LatencyBook>& pick) noexcept {
    if (pick.prepared == nullptr) return sdk::anyAllowed(pick);
    const auto& book = *pick.prepared;
    book.renew(pick.connection);
    sdk::Shortlist list;
    book.candidates().shortlist(pick.connection, list, [&](std::uint32_t position, std::uint32_t active) {
      const auto estimate = book.estimate(position, pick.connection);
      return estimate.latency_ns * book.handicappedLoad(position, active, estimate);
    });
    return leastOf(book.candidates(), list);
  }
};

}  // namespace

LEMONADE_STRATEGY(FastestResponseTime, .id = "fastest_response_time", .version = "1.0.0",
                  .name = "Fastest response time", .vendor = "Lemonade",
                  .doc = "Picks the backend with the least product of response time and sessions for its weight.")
