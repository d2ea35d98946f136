// SPDX-License-Identifier: MIT
//
// Strategies tried against simulated backends in virtual time, with the operator's own configuration, plugin and
// scenario, before either meets a client.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lemonade::app {

struct SimulateArguments {
  std::optional<std::string> config;
  std::string pool = "default";
  std::string scenario;                 ///< a file, or the key of a shipped one; "": backends as they are
  std::vector<std::string> strategies;  ///< ids; none: that of the pool, and the shipped ones
  std::vector<std::string> plugin_dirs;
  std::uint64_t seed = 1;
  std::uint64_t runs = 1;
  std::string svg;    ///< where the picture goes; "": none
  bool list = false;  ///< the shipped scenarios, and no more
  bool json = false;
};

/// Exit codes of cli/exit_codes.h: 0 done, 2 a configuration, scenario or strategy that is wrong.
int runSimulate(const SimulateArguments& arguments);

}  // namespace lemonade::app
