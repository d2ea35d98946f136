// SPDX-License-Identifier: MIT
#include "cli/trend.h"

namespace lemonade::cli {

void Trends::add(const std::string& of, double total, double seconds) {
  const auto [found, is_new] = all_.try_emplace(of, Trend{total, seconds, {}});
  auto& trend = found->second;
  if (is_new) return;
  const double grown = total - trend.total, passed = seconds - trend.seconds;
  if (passed > 0) trend.rates.push_back(grown >= 0 ? grown / passed : 0);
  if (trend.rates.size() > kKept) trend.rates.pop_front();
  trend.total = total;
  trend.seconds = seconds;
}

std::vector<double> Trends::rates(const std::string& of) const {
  const auto found = all_.find(of);
  if (found == all_.end()) return {};
  return {found->second.rates.begin(), found->second.rates.end()};
}

}  // namespace lemonade::cli
