// SPDX-License-Identifier: MIT
//
// Puts the tree of a file into a draft: the tables at the top, then the pools and the listeners, which inherit from
// those. Control plane; any thread.
#pragma once

#include "config/draft.h"
#include "config/finding.h"

#include <toml++/toml.h>

#include <string>

namespace lemonade::config {

/// Reads everything that the file says and reports what is wrong with single keys and tables.
void readFile(const toml::table& root, const std::string& file, Draft& draft, Findings& findings);

}  // namespace lemonade::config
