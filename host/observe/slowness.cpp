// SPDX-License-Identifier: MIT
#include "observe/slowness.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <vector>

namespace lemonade {

namespace {

constexpr double kSlowFactor = 3;
constexpr double kSlowMillis = 1;
constexpr std::uint64_t kFewSamples = 20;
constexpr double kShortestMillis = 0.01;  // what the others take at least, where it is divided by

/// The middle of at least two sorted values without one of them, which is `left_out`.
double middleOfOthers(const std::vector<double>& sorted, double left_out) {
  const auto at = std::lower_bound(sorted.begin(), sorted.end(), left_out) - sorted.begin();
  const auto middle = static_cast<std::ptrdiff_t>((sorted.size() - 1) / 2);
  return sorted[static_cast<std::size_t>(at <= middle ? middle + 1 : middle)];
}

}  // namespace

void judgeSlowness(std::span<BackendStatus> backends) {
  std::map<std::string_view, std::vector<BackendStatus*>> pools;
  for (auto& backend : backends)
    if (backend.exchange_time.samples >= kFewSamples) pools[backend.pool].push_back(&backend);
  for (const auto& [pool, judged] : pools) {
    if (judged.size() < 2) continue;
    std::vector<double> sorted;
    for (const auto* const one : judged) sorted.push_back(one->exchange_time.p50);
    std::sort(sorted.begin(), sorted.end());
    for (auto* const one : judged) {
      const double own = one->exchange_time.p50, usual = middleOfOthers(sorted, own);
      if (own > kSlowFactor * usual && own > usual + kSlowMillis)
        one->slow = {usual, own / std::max(usual, kShortestMillis)};
    }
  }
}

}  // namespace lemonade
