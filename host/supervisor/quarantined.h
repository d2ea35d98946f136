// SPDX-License-Identifier: MIT
//
// The contents of plugin files that no balancer is to run, as the supervisor and its balancers tell each other: the
// supervisor those that a balancer died of, a balancer those that it broke off, and all it was told of before.
#pragma once

#include "base/fd.h"

#include <string>
#include <vector>

namespace lemonade::supervisor {

struct Quarantined {
  std::string id;
  std::string version;
  std::string hash;  ///< of the file's content
  std::string file;  ///< where that was found
  std::string why;   ///< a clause for people, such as "died in pick by signal 11 (SIGSEGV)"
};

/// A file in memory that holds them; owns nothing where there is no memory.
Fd writeQuarantined(const std::vector<Quarantined>& plugins);
/// What such a file holds, without lines that are none; nothing where fd is -1.
std::vector<Quarantined> readQuarantined(int fd);

}  // namespace lemonade::supervisor
