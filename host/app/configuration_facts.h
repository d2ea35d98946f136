// SPDX-License-Identifier: MIT
//
// What status shows of the configuration that runs. Immutable once it is shown; any thread.
#pragma once

#include "app/load_balancer.h"
#include "config/config.h"
#include "observe/status.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace lemonade::app {

struct LoadBalancer::ConfigurationFacts {
  config::Config config;
  std::vector<PluginStatus> plugins;
  std::map<std::string, std::vector<std::string>> addresses;  ///< those really bound, by listener
  std::uint64_t generation = 0;
};

}  // namespace lemonade::app
