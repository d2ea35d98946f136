// SPDX-License-Identifier: MIT
//
// The commands as functions: from parsed arguments to an exit code.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lemonade::app {

struct LoadBalancerArguments {
  std::optional<std::string> config;
  bool validate = false;
  std::vector<std::string> plugin_dirs;
};

struct WorkerArguments {
  std::optional<std::string> config;
  std::optional<std::string> address;
  std::optional<std::string> name;
  std::optional<std::string> delay;  ///< milliseconds, or a duration such as "2s"
};

/// Runs until a signal ends it. Exit codes: 0 success and graceful stop, 1 configuration error, 2 runtime error.
int runLoadBalancer(const LoadBalancerArguments& arguments);
int runWorker(const WorkerArguments& arguments);

/// The child's end of a preflight: rehearses the plugin it is handed and says what came of it; see preflight.h.
int runPreflight();

}  // namespace lemonade::app
