// SPDX-License-Identifier: MIT
//
// What status shows of the configuration that runs. Immutable once it is shown; any thread.
#pragma once

#include "app/load_balancer.h"
#include "observe/status.h"

#include <cstdint>
#include <string>
#include <vector>

namespace lemonade::app {

struct LoadBalancer::ConfigurationFacts {
  std::string config_file;
  std::vector<PluginStatus> plugins;
  std::vector<std::string> listeners;
  std::uint64_t generation = 0;
};

}  // namespace lemonade::app
