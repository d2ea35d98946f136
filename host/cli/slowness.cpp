// SPDX-License-Identifier: MIT
#include "cli/slowness.h"

#include <algorithm>

namespace lemonade::cli {

namespace {

constexpr double kSlowFactor = 3;
constexpr double kSlowMillis = 1;
constexpr double kFewSamples = 20;

double middleOf(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

std::string backendNameOf(const Document& backend) { return textIn(backend, "pool") + "/" + textIn(backend, "id"); }

std::map<std::string, double> slowBackends(const std::vector<Document>& backends) {
  std::map<std::string, std::map<std::string, double>> medians;  // by pool and name
  for (const auto& backend : backends)
    if (const auto times = objectIn(backend, "exchange_ms"); numberIn(times, "samples") >= kFewSamples)
      medians[textIn(backend, "pool")][backendNameOf(backend)] = numberIn(times, "p50");
  std::map<std::string, double> slow;
  for (const auto& [pool, of_pool] : medians)
    for (const auto& [name, own] : of_pool) {
      std::vector<double> others;
      for (const auto& [other, median] : of_pool)
        if (other != name) others.push_back(median);
      if (others.empty()) continue;
      const double usual = middleOf(std::move(others));
      if (own > kSlowFactor * usual && own > usual + kSlowMillis) slow[name] = own / std::max(usual, 0.01);
    }
  return slow;
}

}  // namespace lemonade::cli
