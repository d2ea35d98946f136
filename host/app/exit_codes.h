// SPDX-License-Identifier: MIT
//
// What the commands of `lemonade` exit with; docs/deployment.md tells operators.
#pragma once

namespace lemonade::app {

constexpr int kSuccess = 0;  ///< and a stop that was asked for
constexpr int kConfigurationError = 1;
constexpr int kRuntimeError = 2;

}  // namespace lemonade::app
