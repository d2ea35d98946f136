// SPDX-License-Identifier: MIT
//
// What a process has worked: how long something takes on a machine that has other things to do, too.
#pragma once

#include "support/deadline.h"

#include <unistd.h>

#include <fstream>
#include <string>

namespace lemonade::test {

/// Processor time a process has used so far, in steps of a hundredth of a second.
inline Millis processorTime(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string word;
  for (int i = 0; i < 13; ++i) file >> word;
  long user = 0;
  long system = 0;
  file >> user >> system;
  return Millis((user + system) * 1000 / ::sysconf(_SC_CLK_TCK));
}

}  // namespace lemonade::test
