// SPDX-License-Identifier: MIT
//
// What the tests of the configuration share.
#pragma once

#include "config/loader.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace lemonade::config::test {

inline const std::string kBackend = "[[backends]]\naddress = \"10.0.1.10:80\"\n";

inline Loaded parsed(const std::string& text, Environment environment = {}) {
  return parse(text, "test.toml", {.file = "test.toml", .environment = std::move(environment), .plugin_dirs = {}});
}

inline Loaded fromEnvironment(Environment environment) {
  return load({.file = std::nullopt, .environment = std::move(environment), .plugin_dirs = {}});
}

/// The findings as a user reads them, one a line.
inline std::string findingsOf(const Loaded& loaded) {
  std::string lines;
  for (const auto& finding : loaded.findings) lines += finding.line() + "\n";
  return lines;
}

inline std::string contentOf(const std::filesystem::path& path) {
  std::ostringstream content;
  content << std::ifstream(path).rdbuf();
  return content.str();
}

inline const std::filesystem::path kSource = LEMONADE_SOURCE_DIR;

}  // namespace lemonade::config::test
