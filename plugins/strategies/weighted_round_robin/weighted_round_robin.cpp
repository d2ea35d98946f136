// SPDX-License-Identifier: MIT
//
// Smooth weighted round robin: nginx's order, written ahead for one period, and one ticket counter for all workers, so
// that the shares are exact with any number of them.
//
// With learn_weights the speed that a backend has shown counts as part of its weight. Such weights change all the time,
// so no order is written ahead: the backend comes next whose turn is due first, and its next turn is due a weight-th
// later (stride scheduling, Waldspurger 1995); one that has nine tenths of its share of the sessions passes its turn
// on. Of more than sixteen backends two are drawn by weight, and the one is taken that has fewer sessions for it.
#include <lemonade/sdk/candidates.hpp>
#include <lemonade/sdk/learned_weights.hpp>

namespace {

namespace sdk = lemonade::sdk;

/// Turns by weights that change.
class Turns {
 public:
  Turns(sdk::View view, sdk::LearnedSpeeds& speeds)
      : candidates_(view), learned_(view, candidates_, speeds, kPower), due_(candidates_.size()) {
    // The first turn of each lies half a stride ahead, as in the middle of a period.
    for (std::uint32_t i = 0; i < due_.size(); ++i) due_[i].store(0.5 * stride(i), std::memory_order_relaxed);
  }

  std::uint32_t next(const sdk::Pick<struct Period>& pick) const noexcept;
  void explain(std::uint32_t index, sdk::Reason& reason) const noexcept {
    sdk::explainSpeed(learned_, candidates_.positionOf(index), reason);
  }

 private:
  double stride(std::uint32_t position) const noexcept {
    return 1 / (candidates_[position].weight * learned_[position]);
  }

  static constexpr double kPower = 2;
  static constexpr double kMostOfShare = 0.9;  // of the sessions: whose turn it is then passes it on

  const sdk::Candidates candidates_;
  const sdk::LearnedWeights learned_;
  mutable std::vector<std::atomic<double>> due_;  // by position; two workers at once may take the same turn
};

/// One period of the smooth order, as indices into the view; empty where nothing is eligible. Or turns, where weights
/// are learned.
struct Period {
  std::vector<std::uint32_t> indices;
  std::unique_ptr<const Turns> turns{};
};

std::uint32_t Turns::next(const sdk::Pick<Period>& pick) const noexcept {
  learned_.renew(pick.connection.now_ns);
  if (!candidates_.small()) return learned_.leastOfDrawn(pick.connection, 2);
  double sessions = 1, weight = 0;
  for (std::uint32_t i = 0; i < candidates_.size(); ++i) {
    sessions += candidates_[i].active();
    weight += 1 / stride(i);
  }
  const double most = kMostOfShare * sessions / weight;
  std::uint32_t best = candidates_.size(), anyway = best;
  double first = 0, first_anyway = 0;
  for (std::uint32_t i = 0; i < candidates_.size(); ++i) {
    if (!pick.allowed(candidates_[i].index)) continue;
    const double due = due_[i].load(std::memory_order_relaxed);
    if (anyway == candidates_.size() || due < first_anyway) {
      anyway = i;
      first_anyway = due;
    }
    if (candidates_[i].active() >= most / stride(i) || (best != candidates_.size() && due >= first)) continue;
    best = i;
    first = due;
  }
  if (best == candidates_.size()) {
    best = anyway;
    first = first_anyway;
  }
  if (best == candidates_.size()) return LEMONADE_PICK_NONE;
  due_[best].store(first + stride(best), std::memory_order_relaxed);
  // Who could not be picked for a while does not catch up on all that it has missed.
  for (std::uint32_t i = 0; i < candidates_.size(); ++i) {
    const double oldest = first - stride(i);
    if (due_[i].load(std::memory_order_relaxed) < oldest) due_[i].store(oldest, std::memory_order_relaxed);
  }
  return candidates_[best].index;
}

class WeightedRoundRobin : public sdk::Strategy {
 public:
  using Prepared = Period;

  static constexpr lemonade_option_t kOptions[] = {sdk::kLearnWeights};

  explicit WeightedRoundRobin(const sdk::Options& options) : learns_(options.boolean("learn_weights")) {}

  std::unique_ptr<Period> prepare(sdk::View view) {
    if (learns_) {
      auto turns = std::make_unique<Period>();
      turns->turns = std::make_unique<const Turns>(view, speeds_);
      return turns;
    }
    std::vector<std::uint32_t> weights;
    weights.reserve(view.eligible().size());
    for (const auto index : view.eligible()) weights.push_back(view[index].effective_weight);
    auto period = std::make_unique<Period>(Period{sdk::smoothOrder(weights)});
    for (auto& place : period->indices) place = view.eligible()[place];
    return period;
  }

  std::uint32_t pick(const sdk::Pick<Period>& pick) noexcept {
    if (learns_ && pick.prepared != nullptr) [[unlikely]] {
      const std::uint32_t index = pick.prepared->turns->next(pick);
      return index != LEMONADE_PICK_NONE ? index : sdk::anyAllowed(pick);
    }
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
    if (learns_ && pick.prepared != nullptr) pick.prepared->turns->explain(index, reason);
  }

 private:
  // A backend of great weight that is full may hold many turns in a row.
  static constexpr int kTurns = 64;

  const bool learns_;
  sdk::LearnedSpeeds speeds_;  // control thread
  std::atomic<std::uint32_t> ticket_{0};
};

}  // namespace

LEMONADE_STRATEGY(
    WeightedRoundRobin, .id = "weighted_round_robin", .version = "1.0.0", .name = "Weighted round robin",
    .vendor = "Lemonade",
    .doc = "Gives each eligible backend connections in proportion to its weight, evenly spread over time.",
    .flags = LEMONADE_FLAG_UNLOAD_SAFE)
