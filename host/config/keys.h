// SPDX-License-Identifier: MIT
//
// Every key of the configuration, one line each: where it stands, what it takes, in which range, where it goes, and
// with that how it changes.
#pragma once

#include "config/item.h"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace lemonade::config {

/// The configuration while it is being read.
struct Draft {
  struct SinkOptions {
    Source source;
    OptionTable options;
  };

  Config config = defaultConfig();
  std::filesystem::path directory;                  ///< that of the file; relative directories start here
  std::map<std::string, Source> said;               ///< where each key was last set, by its path
  std::map<std::string, SinkOptions> sink_options;  ///< [metrics.options.*] by sink
};

using ConfigKey = Key<Draft, Config>;
using BackendKey = Key<Backend>;

/// The keys of the tables, in the order in which documentation lists them. Live as long as the process; any thread.
const std::vector<ConfigKey>& configKeys();
/// The keys of each [[backends]].
const std::vector<BackendKey>& backendKeys();

/// The key of this path; it exists.
const ConfigKey& configKey(std::string_view path);

/// Every key by its path, those of the backends included: "proxy.backlog", "backends.weight".
std::vector<std::string> knownPaths();

}  // namespace lemonade::config
