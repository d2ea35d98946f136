// SPDX-License-Identifier: MIT
//
// What there is to see of the configuration and the plugins, to be compared with what was seen before. Taken before the
// files are read for use, it shows every change since then. Any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace lemonade::app {

struct Sight {
  std::string file;     ///< content of the configuration, or why it cannot be read
  std::string plugins;  ///< which files, and when each last changed
  bool operator==(const Sight&) const = default;
};

/// For Sight::file; "" where there is no file.
std::string lookAtFile(const std::optional<std::string>& file);

/// Which file it is and when it last changed, without reading it: a line of Sight::plugins.
std::string lookAtPlugin(const std::string& path);

/// For Sight::plugins.
std::string lookAtPlugins(const std::vector<std::string>& directories);

/// The files in the directories that could be plugins, sorted.
std::vector<std::string> pluginFiles(const std::vector<std::string>& directories);

}  // namespace lemonade::app
