// SPDX-License-Identifier: MIT
#include "app/descriptor_findings.h"

#include "process/descriptor_budget.h"

#include <algorithm>
#include <string>
#include <utility>

namespace lemonade::app {

bool descriptorsSuffice(std::uint64_t count, const char* what, config::Findings& findings) {
  if (canOpen(count)) return true;
  findings.error({"descriptors", 0, 0}, std::to_string(count) + " are needed to " + what + ", and the limit of " +
                                            std::to_string(descriptorLimit()) +
                                            " does not leave as many; raise it (ulimit -n, LimitNOFILE)");
  return false;
}

void checkDescriptors(PreparationContext& context, Preparation& preparation, config::Findings& findings) {
  if (context.open_at_start == 0) context.open_at_start = openDescriptors();
  const auto share = [&](std::uint64_t limit) { return shareOut(preparation.config, context.open_at_start, limit); };
  const auto budget = share(raiseDescriptorLimit(share(descriptorLimit()).wanted));
  growDescriptorTable(std::min(budget.limit, budget.wanted));
  if (budget.suffices()) return;
  const std::uint64_t max_connections = config::relayedClients(preparation.config);
  const std::string text = budget.text(max_connections);
  findings.warning({"proxy.max_connections", 0, 0}, text);
  const std::pair<std::uint64_t, std::uint64_t> which{budget.limit, max_connections};
  if (std::exchange(context.said_of_descriptors, which) == which) preparation.repeated.insert(text);
}

}  // namespace lemonade::app
