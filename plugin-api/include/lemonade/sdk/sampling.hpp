// SPDX-License-Identifier: MIT
//
// Random choice by weight in constant time: Walker's alias table, built as Vose describes (IEEE TSE 17(9), 1991), here
// with integers so that a weight of 0 is never drawn.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <vector>

namespace lemonade::sdk {

/// The n-th random number out of one: the finaliser of splitmix64 over seed + n * golden ratio. [any]
constexpr std::uint64_t nthRandom(std::uint64_t seed, std::uint64_t n) noexcept {
  std::uint64_t z = seed + n * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/// Draws positions with the probability of their weights. Constant after construction.
class WeightedSampler {
 public:
  WeightedSampler() = default;

  /// At least one weight must be above 0. Allocates. [control]
  explicit WeightedSampler(std::span<const std::uint32_t> weights) : slots_(weights.size()) {
    const auto total = std::accumulate(weights.begin(), weights.end(), std::uint64_t{0});
    // A slot of the table holds `total`; position i has weight * size to spread over slots.
    std::vector<std::uint64_t> rest(weights.begin(), weights.end());
    std::vector<std::uint32_t> poor, rich;
    for (std::uint32_t i = 0; i < rest.size(); ++i) {
      rest[i] *= rest.size();
      slots_[i] = {std::numeric_limits<std::uint32_t>::max(), i};
      (rest[i] < total ? poor : rich).push_back(i);
    }
    while (!poor.empty()) {
      const auto i = poor.back();
      const auto donor = rich.back();
      poor.pop_back();
      const double share = static_cast<double>(rest[i]) / static_cast<double>(total);
      slots_[i] = {static_cast<std::uint32_t>(std::min(share * 0x1p32, 0x1p32 - 1)), donor};
      rest[donor] -= total - rest[i];
      if (rest[donor] < total) {
        rich.pop_back();
        poor.push_back(donor);
      }
    }
  }

  /// A position, by 64 random bits. [worker]
  std::uint32_t draw(std::uint64_t random) const noexcept {
    const auto at = static_cast<std::uint32_t>(((random >> 32) * slots_.size()) >> 32);
    const Slot slot = slots_[at];
    // No branch: it would be mispredicted every other time.
    const std::uint32_t use_alias = 0 - static_cast<std::uint32_t>(static_cast<std::uint32_t>(random) >= slot.own);
    return at ^ ((at ^ slot.alias) & use_alias);
  }

 private:
  struct Slot {
    std::uint32_t own;    // of 2^32: how much of the slot is its own position's
    std::uint32_t alias;  // whose the rest is
  };
  std::vector<Slot> slots_;
};

}  // namespace lemonade::sdk
