// SPDX-License-Identifier: MIT
//
// A whole configuration, key by key, as it is in force: what the file and the environment say, what is inherited and
// what is a default. Stateless; any thread.
#pragma once

#include "config/config.h"

#include <string>
#include <vector>

namespace lemonade::config {

struct EffectiveKey {
  std::string path;   ///< as findings and reloads call it: "health.interval", "pools.web.backends.web-1.weight"
  std::string value;  ///< as the log of a reload shows it; of the options of plugins the names only
};

/// Every key of the process, of each listener, of each pool and of each backend. Values that may be secrets are hidden.
std::vector<EffectiveKey> effective(const Config& config);

}  // namespace lemonade::config
