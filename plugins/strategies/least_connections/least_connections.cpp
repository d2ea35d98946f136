// SPDX-License-Identifier: MIT
//
// Weighted least connections: the backend that would have the fewest sessions for each unit of weight if this one came
// too. Equals take turns by weight.
#include <lemonade/sdk/candidates.hpp>

namespace {

namespace sdk = lemonade::sdk;

class LeastConnections : public sdk::Strategy {
 public:
  using Prepared = sdk::Candidates;

  std::unique_ptr<sdk::Candidates> prepare(sdk::View view) { return std::make_unique<sdk::Candidates>(view); }

  std::uint32_t pick(const sdk::Pick<sdk::Candidates>& pick) noexcept {
    if (pick.prepared == nullptr) return sdk::anyAllowed(pick);
    const auto& candidates = *pick.prepared;
    return candidates.least(pick.connection, kRounding, turn_, [&](std::uint32_t position, std::uint32_t active) {
      return candidates[position].load(active);
    });
  }

 private:
  // (a + 1) / v and (b + 1) / w that are equal may differ in their last bits; unequal ones differ by more than this as
  // long as there are fewer than millions of sessions.
  static constexpr double kRounding = 1 + 0x1p-48;

  std::atomic<std::uint32_t> turn_{0};
};

}  // namespace

LEMONADE_STRATEGY(LeastConnections, .id = "least_connections", .version = "1.0.0", .name = "Least connections",
                  .vendor = "Lemonade",
                  .doc =
                      "Picks the backend with the fewest sessions for its weight; compares up to 16 backends, and in "
                      "larger pools some drawn by weight.")
