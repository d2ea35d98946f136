// SPDX-License-Identifier: MIT
//
// The command line: lemonade load-balancer|lb, worker|w, --version, --help.
#pragma once

namespace lemonade::app {

/// Runs the command; returns the exit code: 0 success and graceful stop, 1 configuration error, 2 runtime error.
int runCommandLine(int argc, char** argv);

}  // namespace lemonade::app
