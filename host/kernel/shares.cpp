// SPDX-License-Identifier: MIT
#include "kernel/shares.h"

#include <algorithm>
#include <numeric>

namespace lemonade::kernel {

namespace {

/// Enough for weights of six digits at every slot there is, and less than a signed int of 32 bits.
constexpr std::uint64_t kLargestSum = 2'000'000'000;

}  // namespace

Shares sharesOf(const std::vector<TablePlan::Choice>& choices) {
  std::uint64_t divisor = 0;
  std::uint64_t sum = 0;
  for (const auto& choice : choices) {
    divisor = std::gcd(divisor, std::uint64_t{choice.weight});
    sum += choice.weight;
  }
  Shares shares;
  if (sum == 0) return shares;
  // Rounded down, each by less than 1, and up to 1: the sum stays below the largest and one for each slot.
  const std::uint64_t scale = std::max<std::uint64_t>(1, (sum / divisor + kLargestSum - 1) / kLargestSum);
  for (const auto& choice : choices) {
    if (choice.weight == 0) continue;
    const auto numbers = static_cast<std::uint32_t>(std::max<std::uint64_t>(1, choice.weight / (divisor * scale)));
    shares.ranges.push_back({choice.slot, shares.sum, shares.sum + numbers - 1});
    shares.sum += numbers;
  }
  return shares;
}

}  // namespace lemonade::kernel
