// SPDX-License-Identifier: MIT
#include "doctor/descriptors.h"

#include "process/descriptor_budget.h"

#include <string>

namespace lemonade::doctor {

Findings examineDescriptors(const config::Config& config, std::uint64_t open, std::uint64_t limit) {
  const std::uint64_t clients = config::relayedClients(config);
  const auto budget = shareOut(config, open, limit);
  if (budget.suffices())
    return {{Level::kOk, "descriptors",
             std::to_string(clients) + " clients at once need " + std::to_string(budget.wanted) +
                 " descriptors, and the limit is " + std::to_string(limit),
             "proxy.max_connections"}};
  return {{Level::kProblem, "descriptors",
           std::to_string(clients) + " clients at once need " + std::to_string(budget.wanted) +
               " descriptors, and the limit is " + std::to_string(limit) + ": no more than " +
               std::to_string(budget.sessions) + " are let in",
           "proxy.max_connections",
           "LimitNOFILE=" + std::to_string(budget.wanted) + " in the unit of systemd, or ulimit -n " +
               std::to_string(budget.wanted) + "; else max_connections = " + std::to_string(budget.sessions)}};
}

}  // namespace lemonade::doctor
