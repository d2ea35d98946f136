// SPDX-License-Identifier: MIT
//
// What a demonstration backend is told: the table [worker] of a file, LEMONADE_WORKER_* variables and the command line,
// each winning over the one before. Any thread.
#pragma once

#include "config/environment.h"
#include "config/finding.h"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace lemonade::demo {

struct DemoOptions {
  std::string listen_address = "127.0.0.1:8081";  ///< numeric; port 0 lets the system choose
  std::string name = "worker";
  Duration delay{0};  ///< of an answer to GET /work; up to an hour
};

/// Where the options come from; what the command line leaves out is nothing.
struct DemoInput {
  std::optional<std::string> file = {};
  config::Environment environment = {};     ///< see config::processEnvironment()
  std::optional<std::string> address = {};  ///< --address
  std::optional<std::string> name = {};     ///< --name
  std::optional<std::string> delay = {};    ///< --delay: milliseconds, or a duration such as "2s"
};

/// The options as far as they could be read, and what is wrong; for use only where ok().
struct LoadedDemo {
  DemoOptions options;
  std::vector<config::Finding> findings;

  bool ok() const noexcept { return !config::hasErrors(findings); }
};

LoadedDemo loadDemoOptions(const DemoInput& input);

}  // namespace lemonade::demo
