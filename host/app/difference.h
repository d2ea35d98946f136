// SPDX-License-Identifier: MIT
//
// What differs between two configurations: one line each, for the log of a reload, and no line where there is nothing
// to reload.
#pragma once

#include "config/config.h"

#include <string>
#include <vector>

namespace lemonade::app {

/// One line for each key, backend, plugin or listener that differs, such as "backend web-1: weight 1 -> 5". Secrets do
/// not appear: options of plugins are named without their values.
std::vector<std::string> differences(const config::Config& before, const config::Config& after);

}  // namespace lemonade::app
