// SPDX-License-Identifier: MIT
//
// One balancer that the supervisor runs: how it is started, and what is known of it.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "supervisor/last_moments.h"
#include "supervisor/message.h"
#include "supervisor/quarantined.h"

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace lemonade::supervisor {

struct Socket {
  std::string name;
  Fd fd;
};
using Sockets = std::vector<std::shared_ptr<const Socket>>;

/// What is executed: the file at a path as it is then, or one that is open, wherever it is now.
struct Program {
  std::string path;
  std::shared_ptr<const Fd> file;  ///< null: the one at the path
  std::vector<std::string> arguments;
};

struct Child {
  pid_t pid = -1;
  Fd channel;
  Program program;  ///< with the file that really runs
  Sockets held;     ///< those that it listens on
  TraceMemory trace;
  std::uint64_t started_ns = 0;
  bool ready = false;
  std::string failure;  ///< why it ended before it was ready, in its own words; "": it did not say

  /// Starts it in a process group of its own, so that a terminal's signals reach it only through the supervisor. It
  /// gets held, what else is kept for every child, and which plugins it is not to run.
  static Result<std::unique_ptr<Child>> start(Program program, Sockets held, const Sockets& kept,
                                              const std::vector<Quarantined>& quarantine);
};

/// How a process ended, of what wait(2) says: "signal 11 (SEGV)", "exit code 2".
std::string endingOf(int status);

}  // namespace lemonade::supervisor
