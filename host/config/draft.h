// SPDX-License-Identifier: MIT
//
// The configuration while it is being read. One thread.
#pragma once

#include "config/config.h"

#include <filesystem>
#include <map>
#include <string>

namespace lemonade::config {

struct Draft {
  /// Its first listener and its first pool are the default ones until dropUnusedDefaults().
  Config config = defaultConfig();
  std::map<std::string, Source> said;  ///< where each key was last set, by its path: "pools.web.health.interval"

  /// Where a key was set; where it was not, the file as a whole.
  Source whereSaid(const std::string& path) const;
};

}  // namespace lemonade::config
