// SPDX-License-Identifier: MIT
//
// Power of two choices (Mitzenmacher 2001): two different backends drawn by weight, and of these the one that would
// have the fewest sessions for each unit of weight if this one came too. Balancers that share nothing do not run to the
// same backend, at any size of the pool.
//
// With learn_weights both count the speed that a backend has shown as part of its weight.
#include <lemonade/sdk/candidates.hpp>
#include <lemonade/sdk/learned_weights.hpp>
#include <lemonade/sdk/reasons.hpp>

namespace {

namespace sdk = lemonade::sdk;

/// The candidates of a view, and how fast they are.
struct Drawn {
  static constexpr double kPower = 1.5;

  explicit Drawn(sdk::View view) : candidates(view) {}
  Drawn(sdk::View view, sdk::LearnedSpeeds& speeds) : candidates(view), learned(view, candidates, speeds, kPower) {}

  const sdk::Candidates candidates;
  const sdk::LearnedWeights learned;
};

class RandomTwo : public sdk::Strategy {
 public:
  using Prepared = Drawn;

  static constexpr lemonade_option_t kOptions[] = {
      sdk::option("choices", LEMONADE_OPTION_INTEGER, "2", "How many different backends are drawn and compared.", 2,
                  10),
      sdk::kLearnWeights,
  };

  explicit RandomTwo(const sdk::Options& options)
      : choices_(static_cast<std::uint32_t>(options.integer("choices"))), learns_(options.boolean("learn_weights")) {}

  std::unique_ptr<Drawn> prepare(sdk::View view) {
    return learns_ ? std::make_unique<Drawn>(view, speeds_) : std::make_unique<Drawn>(view);
  }

  std::uint32_t pick(const sdk::Pick<Drawn>& pick) noexcept {
    if (pick.prepared == nullptr) return sdk::anyAllowed(pick);
    const auto& candidates = pick.prepared->candidates;
    if (learns_) {
      pick.prepared->learned.renew(pick.connection.now_ns);
      const auto learned = pick.prepared->learned.leastOfDrawn(pick.connection, choices_);
      if (learned != LEMONADE_PICK_NONE) return learned;
    }
    // All of them are drawn: nothing is left to luck, but who takes part while it starts.
    if (candidates.size() <= choices_)
      return candidates.least(pick.connection, 1, turn_, [&](std::uint32_t position, std::uint32_t active) {
        return candidates[position].load(active);
      });
    const auto quickly = choices_ == 2 && pick.connection.tried_count == 0 ? lesserOfTwo(candidates, pick.connection)
                                                                           : LEMONADE_PICK_NONE;
    return quickly != LEMONADE_PICK_NONE ? quickly : leastOfSome(candidates, pick.connection);
  }

  void why(const sdk::Pick<Drawn>& pick, std::uint32_t index, sdk::Reason& reason) noexcept {
    char room[64];
    sdk::Reason among{room};
    among.add(choices_).add(" drawn by weight");
    sdk::explainLoad(pick, index, among.text(), reason);
    if (learns_ && pick.prepared != nullptr)
      sdk::explainSpeed(pick.prepared->learned, pick.prepared->candidates.positionOf(index), reason);
  }

 private:
  /// The rule, for the connection that is nothing special: of the first two different ones that are drawn, neither at
  /// its limit. LEMONADE_PICK_NONE where it takes more care. Without a list, and without a branch on what is luck.
  static std::uint32_t lesserOfTwo(const sdk::Candidates& candidates,
                                   const lemonade_connection_t& connection) noexcept {
    const std::uint32_t first = candidates.drawn(connection, 0);
    std::uint32_t second = candidates.drawn(connection, 1);
    for (std::uint32_t n = 2; second == first; ++n) {
      if (n == kDraws) return LEMONADE_PICK_NONE;
      second = candidates.drawn(connection, n);
    }
    const auto& a = candidates[first];
    const auto& b = candidates[second];
    const std::uint32_t a_has = a.active(), b_has = b.active();
    if (a_has >= a.max_connections || b_has >= b.max_connections) return LEMONADE_PICK_NONE;
    // Of equals the one drawn first: it was drawn by weight.
    const auto use_b = 0 - static_cast<std::uint32_t>(b.load(b_has) < a.load(a_has));
    return a.index ^ ((a.index ^ b.index) & use_b);
  }

  std::uint32_t leastOfSome(const sdk::Candidates& candidates, const lemonade_connection_t& connection) const noexcept {
    sdk::Shortlist list;
    candidates.draw(connection, choices_, choices_, list,
                    [&](std::uint32_t position, std::uint32_t active) { return candidates[position].load(active); });
    if (list.size() == 0) return LEMONADE_PICK_NONE;
    std::uint32_t best = 0;
    for (std::uint32_t slot = 1; slot < list.size(); ++slot) best = list[slot].score < list[best].score ? slot : best;
    return candidates[list[best].position].index;
  }

  static constexpr std::uint32_t kDraws = 6;

  const std::uint32_t choices_;
  const bool learns_;
  sdk::LearnedSpeeds speeds_;  // control thread
  std::atomic<std::uint32_t> turn_{0};
};

}  // namespace

LEMONADE_STRATEGY(RandomTwo, .id = "random_two", .version = "1.0.0", .name = "Random of two", .vendor = "Lemonade",
                  .doc = "Draws two backends by weight and picks the one with fewer sessions for its weight.",
                  .flags = LEMONADE_FLAG_UNLOAD_SAFE)
