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

double middleOf(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

void judgeSlowness(std::span<BackendStatus> backends) {
  std::map<std::string_view, std::vector<BackendStatus*>> pools;
  for (auto& backend : backends)
    if (backend.exchange_time.samples >= kFewSamples) pools[backend.pool].push_back(&backend);
  for (const auto& [pool, judged] : pools)
    for (auto* const one : judged) {
      std::vector<double> others;
      for (const auto* const other : judged)
        if (other != one) others.push_back(other->exchange_time.p50);
      if (others.empty()) continue;
      const double own = one->exchange_time.p50, usual = middleOf(std::move(others));
      if (own > kSlowFactor * usual && own > usual + kSlowMillis)
        one->slow = {usual, own / std::max(usual, kShortestMillis)};
    }
}

}  // namespace lemonade
