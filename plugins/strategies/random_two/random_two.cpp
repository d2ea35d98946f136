// SPDX-License-Identifier: MIT
//
// Power of two choices (Mitzenmacher 2001): two different backends drawn by weight, and of these the one that would
// have the fewest sessions for each unit of weight if this one came too. Balancers that share nothing do not run to the
// same backend, at any size of the pool.
#include <lemonade/sdk/candidates.hpp>

namespace {

namespace sdk = lemonade::sdk;

class RandomTwo : public sdk::Strategy {
 public:
  using Prepared = sdk::Candidates;

  static constexpr lemonade_option_t kOptions[] = {
      sdk::option("choices", LEMONADE_OPTION_INTEGER, "2", "How many different backends are drawn and compared.", 2,
                  10),
  };

  explicit RandomTwo(const sdk::Options& options) : choices_(static_cast<std::uint32_t>(options.integer("choices"))) {}

  std::unique_ptr<sdk::Candidates> prepare(sdk::View view) { return std::make_unique<sdk::Candidates>(view); }

  std::uint32_t pick(const sdk::Pick<sdk::Candidates>& pick) noexcept {
    if (pick.prepared == nullptr) return sdk::anyAllowed(pick);
    const auto& candidates = *pick.prepared;
    sdk::Shortlist list;
    candidates.draw(pick.connection, choices_, choices_, list,
                    [&](std::uint32_t position, std::uint32_t active) { return candidates[position].load(active); });
    if (list.size() == 0) return LEMONADE_PICK_NONE;
    std::uint32_t best = 0;
    // Of equals the one drawn first: it was drawn by weight.
    for (std::uint32_t slot = 1; slot < list.size(); ++slot)
      best = list[slot].score < list[best].score ? slot : best;
    return candidates[list[best].position].index;
  }

 private:
  const std::uint32_t choices_;
};

}  // namespace

LEMONADE_STRATEGY(RandomTwo, .id = "random_two", .version = "1.0.0", .name = "Random of two", .vendor = "Lemonade",
                  .doc = "Draws two backends by weight and picks the one with fewer sessions for its weight.")
