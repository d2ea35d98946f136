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
    sdk::Shortlist list;
    pick.prepared->shortlist(pick.connection, list);
    if (list.size() == 0) return LEMONADE_PICK_NONE;

    double least = std::numeric_limits<double>::infinity();
    for (std::uint32_t slot = 0; slot < list.size(); ++slot) least = std::min(least, list[slot].load);
    const double limit = least * kRounding;
    std::uint32_t equals = 0;
    for (std::uint32_t slot = 0; slot < list.size(); ++slot)
      equals |= static_cast<std::uint32_t>(list[slot].load <= limit) << slot;
    return pick.prepared->settle(list, equals, turn_);
  }

 private:
  // (a + 1) / v and (b + 1) / w that are equal may differ in their last bits; unequal ones differ by more
  // than this as long as there are fewer than millions of sessions.
  static constexpr double kRounding = 1 + 0x1p-48;

  std::atomic<std::uint32_t> turn_{0};
};

}  // namespace

LEMONADE_STRATEGY(LeastConnections, .id = "least_connections", .version = "1.0.0", .name = "Least connections",
                  .vendor = "Lemonade",
                  .doc =
                      "Picks the backend with the fewest sessions for its weight; compares up to 16 backends, and in "
                      "larger pools three drawn by weight.")
