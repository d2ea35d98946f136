// SPDX-License-Identifier: MIT
//
// Smooth weighted round robin: nginx's order, written ahead for one period, and one ticket counter for all workers, so
// that the shares are exact with any number of them.
#include <lemonade/sdk/candidates.hpp>

namespace {

namespace sdk = lemonade::sdk;

/// One period of the smooth order, as indices into the view; empty where nothing is eligible.
struct Period {
  std::vector<std::uint32_t> indices;
};

class WeightedRoundRobin : public sdk::Strategy {
 public:
  using Prepared = Period;

  std::unique_ptr<Period> prepare(sdk::View view) {
    std::vector<std::uint32_t> weights;
    weights.reserve(view.eligible().size());
    for (const auto index : view.eligible()) weights.push_back(view[index].effective_weight);
    auto period = std::make_unique<Period>(Period{sdk::smoothOrder(weights)});
    for (auto& place : period->indices) place = view.eligible()[place];
    return period;
  }

  std::uint32_t pick(const sdk::Pick<Period>& pick) noexcept {
    if (pick.prepared == nullptr || pick.prepared->indices.empty()) return sdk::anyAllowed(pick);
    const auto& indices = pick.prepared->indices;
    const auto length = static_cast<std::uint32_t>(indices.size());
    // What a full or dead backend leaves is taken by the next tickets, hence shared by weight too.
    for (int turn = 0; turn < kTurns; ++turn) {
      const std::uint32_t index = indices[ticket_.fetch_add(1, std::memory_order_relaxed) % length];
      if (pick.allowed(index)) return index;
    }
    return sdk::anyAllowed(pick);
  }

  void why(const sdk::Pick<Period>& pick, std::uint32_t index, sdk::Reason& reason) noexcept {
    reason.add("its turn by weight, which is ").add(pick.view[index].effective_weight / 1000.0, 3);
    reason.add(" now, among ").add(static_cast<std::uint32_t>(pick.view.eligible().size()));
  }

 private:
  // A backend of great weight that is full may hold many turns in a row.
  static constexpr int kTurns = 64;

  std::atomic<std::uint32_t> ticket_{0};
};

}  // namespace

LEMONADE_STRATEGY(
    WeightedRoundRobin, .id = "weighted_round_robin", .version = "1.0.0", .name = "Weighted round robin",
    .vendor = "Lemonade",
    .doc = "Gives each eligible backend connections in proportion to its weight, evenly spread over time.",
    .flags = LEMONADE_FLAG_UNLOAD_SAFE)
