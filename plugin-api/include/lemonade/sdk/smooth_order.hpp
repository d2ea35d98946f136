// SPDX-License-Identifier: MIT
//
// Smooth weighted round robin, as nginx defines it: every turn each candidate gains its weight, the one with the most
// is taken and pays the sum of all. Weights 5, 1, 1 give a a b a c a a rather than a a a a a b c.
//
// Here one whole period is written ahead, on the control thread, so that a pick only has to read the next place.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

namespace lemonade::sdk {

namespace detail {

/// The weights divided by their greatest common divisor and, where they still add up to more than `longest`, scaled
/// down to about that; one that is not 0 stays at least 1.
inline std::vector<std::uint32_t> reducedWeights(std::span<const std::uint32_t> weights, std::uint32_t longest) {
  std::uint32_t divisor = 0;
  for (const auto weight : weights) divisor = std::gcd(divisor, weight);
  std::vector<std::uint32_t> reduced(weights.begin(), weights.end());
  if (divisor == 0) return reduced;
  std::uint64_t total = 0;
  for (auto& weight : reduced) total += weight /= divisor;
  if (total <= longest) return reduced;
  for (auto& weight : reduced)
    if (weight != 0) weight = std::max(1u, static_cast<std::uint32_t>(std::uint64_t{weight} * longest / total));
  return reduced;
}

/// Candidates of one weight. They take turns in ascending order, so only the next of them can be the best of all.
struct Tier {
  std::int64_t weight;
  std::vector<std::uint32_t> members;
  std::size_t next = 0;
  std::int64_t rounds = 0;  // turns that `next` has had
};

inline std::vector<Tier> tiersOf(std::span<const std::uint32_t> weights) {
  std::vector<Tier> tiers;
  for (std::uint32_t i = 0; i < weights.size(); ++i) {
    if (weights[i] == 0) continue;
    auto tier = std::find_if(tiers.begin(), tiers.end(), [&](const Tier& t) { return t.weight == weights[i]; });
    if (tier == tiers.end()) tier = tiers.insert(tier, Tier{weights[i], {}});
    tier->members.push_back(i);
  }
  return tiers;
}

}  // namespace detail

/// One period of the smooth order: positions of `weights`, each as often as its reduced weight; ties go to the lower
/// position, as in nginx. Empty where all weights are 0. `longest` bounds the length (it is exceeded only by as many
/// places as there are positions); shares are exact while the reduced weights add up to no more.
/// Takes length * (distinct weights) steps: 20 ms in the worst case of the default. Allocates. [control]
inline std::vector<std::uint32_t> smoothOrder(std::span<const std::uint32_t> weights, std::uint32_t longest = 65'536) {
  const auto reduced = detail::reducedWeights(weights, longest);
  auto tiers = detail::tiersOf(reduced);
  const auto total = std::accumulate(reduced.begin(), reduced.end(), std::int64_t{0});
  std::vector<std::uint32_t> order;
  order.reserve(static_cast<std::size_t>(total));
  for (std::int64_t turn = 1; turn <= total; ++turn) {
    detail::Tier* best = nullptr;
    std::int64_t most = 0;
    for (auto& tier : tiers) {
      // What nginx keeps in current_weight: gained in each turn so far, less what was paid.
      const std::int64_t credit = turn * tier.weight - tier.rounds * total;
      if (best == nullptr || credit > most || (credit == most && tier.members[tier.next] < best->members[best->next])) {
        best = &tier;
        most = credit;
      }
    }
    order.push_back(best->members[best->next]);
    if (++best->next == best->members.size()) {
      best->next = 0;
      ++best->rounds;
    }
  }
  return order;
}

/// Breaks ties among up to 32 positions by taking them in turn, in the smooth order of their weights. Constant after
/// construction; the place it has come to is kept by the caller, so that it outlives a change of the view.
class Rotation {
 public:
  Rotation() = default;
  explicit Rotation(std::span<const std::uint32_t> weights) : order_(smoothOrder(weights, 256)) {}

  /// The next of `members` (bit i stands for position i; at least one bit, none of a position with weight 0). Two
  /// workers at once may be given the same one. [worker]
  std::uint32_t next(std::uint32_t members, std::atomic<std::uint32_t>& place) const noexcept {
    if ((members & (members - 1)) == 0) return static_cast<std::uint32_t>(std::countr_zero(members));
    const auto size = static_cast<std::uint32_t>(order_.size());
    std::uint32_t at = place.load(std::memory_order_relaxed);
    if (at >= size) at = 0;
    while ((members >> order_[at] & 1) == 0)
      if (++at == size) at = 0;
    place.store(at + 1, std::memory_order_relaxed);
    return order_[at];
  }

 private:
  std::vector<std::uint32_t> order_;
};

}  // namespace lemonade::sdk
