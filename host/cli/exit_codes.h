// SPDX-License-Identifier: MIT
//
// What the commands for operators exit with; docs/command-line.md tells scripts.
#pragma once

namespace lemonade::cli {

constexpr int kDone = 0;         ///< and all is as it should be
constexpr int kRefused = 1;      ///< the balancer refused, or something is not as it should be
constexpr int kWrongUse = 2;     ///< of the command line, or what it names is wrong
constexpr int kUnreachable = 3;  ///< no balancer answers

}  // namespace lemonade::cli
