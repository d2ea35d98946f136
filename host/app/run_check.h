// SPDX-License-Identifier: MIT
//
// One health check of one backend, shown step by step, without a running balancer.
#pragma once

#include <string>
#include <vector>

namespace lemonade::app {

struct CheckArguments {
  std::string config;
  std::vector<std::string> plugin_dirs;
  std::string backend;  ///< "POOL/BACKEND", or "BACKEND"
  bool json = false;
};

/// Exit codes of cli/exit_codes.h: 0 passed, 1 not, 2 no such backend or a configuration that is wrong.
int runCheck(const CheckArguments& arguments);

}  // namespace lemonade::app
