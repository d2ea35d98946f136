// SPDX-License-Identifier: MIT
//
// The variables of the environment that configure the balancer. Each stands for one key, which names it, is checked
// like it, and wins over the file. Keys of listeners and pools are those of the default ones.
#pragma once

#include "config/draft.h"
#include "config/finding.h"

#include <map>
#include <string>
#include <vector>

namespace lemonade::config {

/// Variables by name. Tests make their own.
using Environment = std::map<std::string, std::string, std::less<>>;

/// A copy of the process's environment.
Environment processEnvironment();

/// A variable and what it does, in Markdown.
struct Variable {
  std::string name;
  std::string effect;
};

/// All that readEnvironment() knows: those of keys in the order of the keys, then the others.
std::vector<Variable> variables();

/// Every LEMONADE_LB_* variable, LEMONADE_LOG, LEMONADE_LOG_FORMAT and RUST_LOG.
std::vector<std::string> knownVariables();

/// Reads the variables into draft, which holds what the file said. An empty variable counts as unset, except
/// LEMONADE_LB_ADMIN_ADDRESS, where it means off. Unknown LEMONADE_LB_* variables are warnings: others may own them.
void readEnvironment(const Environment& environment, Draft& draft, Findings& findings);

}  // namespace lemonade::config
