// SPDX-License-Identifier: MIT
#include "balance/eligibility.h"

#include <algorithm>
#include <map>

namespace lemonade {

Eligible chooseEligible(const std::vector<std::shared_ptr<Backend>>& backends, double panic_threshold) {
  const auto count = [&](auto which) {
    return std::count_if(backends.begin(), backends.end(),
                         [&](const auto& backend) { return backend->inService() && which(*backend); });
  };
  const auto in_service = count([](const Backend&) { return true; });
  const auto fit = count([](const Backend& backend) { return backend.fit(); });
  const bool panic = static_cast<double>(fit) < panic_threshold * static_cast<double>(in_service);
  const auto let = [&](const Backend& backend) {
    if (!backend.inService()) return false;
    return panic || backend.fit() || (fit == 0 && backend.healthy());
  };
  std::map<std::uint32_t, std::vector<std::uint32_t>> by_priority;
  for (std::uint32_t i = 0; i < backends.size(); ++i)
    if (let(*backends[i])) by_priority[backends[i]->priority()].push_back(i);
  Eligible eligible;
  eligible.panic = panic;
  for (auto& [priority, indices] : by_priority) eligible.tiers.push_back(std::move(indices));
  return eligible;
}

}  // namespace lemonade
