// SPDX-License-Identifier: MIT
//
// What differs between two configurations: one line each, for the log of a reload, and no line where there is nothing
// to reload.
#pragma once

#include "config/config.h"

#include <optional>
#include <string>
#include <vector>

namespace lemonade::app {

/// One thing that differs. Secrets do not appear: values are as /api/v1/config shows them.
struct Difference {
  std::string key;                    ///< "runtime.zone", "backends.web-1.weight"; of what came or went its name alone
  std::optional<std::string> before;  ///< nothing: it came
  std::optional<std::string> after;   ///< nothing: it went
  std::vector<std::string> lines;     ///< for people
};

/// In the order of the keys.
std::vector<Difference> differencesOf(const config::Config& before, const config::Config& after);

/// One line for each key, backend, plugin or listener that differs, such as "backend web-1: weight 1 -> 5". Secrets do
/// not appear: options of plugins are named without their values.
std::vector<std::string> differences(const config::Config& before, const config::Config& after);

}  // namespace lemonade::app
