// SPDX-License-Identifier: MIT
//
// What the pages for operators say of keys, made from the keys: the tables of docs/configuration.md and the lines of
// config/lemonade.toml. Everything else on the pages is left as it is.
#pragma once

#include <string>

namespace lemonade::config::test {

/// docs/configuration.md with the tables under "### [SECTION]" and that of the variables made anew.
std::string withTables(const std::string& page);

/// config/lemonade.toml with the lines below each [SECTION] made anew.
std::string withLines(const std::string& file);

}  // namespace lemonade::config::test
