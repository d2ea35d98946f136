// SPDX-License-Identifier: MIT
//
// Reading the configuration: command line over environment over file over defaults, with everything that is wrong and
// not only the first of it. Plugins' options are checked by the plugin layer, names are resolved by the balance layer.
// Control plane; any thread.
#pragma once

#include "base/result.h"
#include "config/environment.h"
#include "config/finding.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lemonade::config {

/// Where the configuration comes from.
struct Input {
  std::optional<std::string> file;            ///< none: the environment alone
  Environment environment = {};               ///< see processEnvironment()
  std::vector<std::string> plugin_dirs = {};  ///< of the command line
  std::string folder = {};  ///< where relative paths of environment and command line start; "": the working directory
};

/// The configuration as far as it could be read, and what is wrong with it; for use only where ok().
struct Loaded {
  Config config;
  std::vector<Finding> findings;

  /// No finding is an error.
  bool ok() const noexcept { return !hasErrors(findings); }
};

/// Reads the file, if any, and the rest. A pipe is read to its end.
Loaded load(const Input& input);

/// As load(), with what reading the file came to.
Loaded load(const Input& input, const Result<std::string>& content);

/// As load(), with the file's content already at hand; filename appears in findings and Config::file.
Loaded parse(std::string_view text, const std::string& filename, const Input& input);

}  // namespace lemonade::config
