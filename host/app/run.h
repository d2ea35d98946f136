// SPDX-License-Identifier: MIT
//
// The commands as functions: from parsed arguments to an exit code.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lemonade::app {

struct LoadBalancerArguments {
  std::optional<std::string> config;
  bool validate = false;
  bool json = false;                     ///< what validating finds as JSON
  std::optional<std::string> called_as;  ///< what the configuration file is called, where it is really another
  std::optional<int> asked_by;           ///< the process that waits for what validating finds
  std::vector<std::string> plugin_dirs;
  std::vector<std::string> command;  ///< all words of the command line, to execute it again
};

struct DemoBackendArguments {
  std::optional<std::string> config;
  std::optional<std::string> address;
  std::optional<std::string> name;
  std::optional<std::string> delay;  ///< milliseconds, or a duration such as "2s"
};

struct UpgradeArguments {
  std::optional<std::string> admin;
  std::optional<std::string> config;
  bool rollback = false;
};

struct DoctorArguments {
  std::optional<std::string> config;
  std::vector<std::string> plugin_dirs;
  std::string timeout = "10s";  ///< a duration
  bool json = false;
};

/// Tries what the configuration needs of this machine, its names and its backends, and says what to mend. Exit codes: 0
/// no problem, 1 problems, 2 wrong usage or nothing could be tried.
int runDoctor(const DoctorArguments& arguments);

/// Asks the supervisor of the running balancer, found as by any command, for an upgrade and waits for what
/// comes of it. Exit codes as below; 2 where the balancer is not found or goes on as before.
int runUpgrade(const UpgradeArguments& arguments);

/// Runs until a signal ends it. Exit codes: 0 success and graceful stop, 1 configuration error, 2 runtime error.
int runLoadBalancer(const LoadBalancerArguments& arguments);
int runDemoBackend(const DemoBackendArguments& arguments);

/// The child's end of a preflight: rehearses the plugin it is handed and says what came of it; see preflight.h. It ends
/// with its parent, also where that has ended before.
int runPreflight(pid_t parent);

}  // namespace lemonade::app
