// SPDX-License-Identifier: MIT
//
// What there is to see of the configuration and the plugins, to be compared with what was seen before. Taken before the
// files are read for use, it shows every change since then. Any thread.
#pragma once

#include "config/file.h"

#include <optional>
#include <string>
#include <vector>

namespace lemonade {

/// What the configuration file held when it was read.
struct FileContent {
  std::string text;
  std::string problem;  ///< why it cannot be read, in words that follow its path; "" where it can
  bool again = true;    ///< it is there to be read again; false for what came through a pipe
  bool operator==(const FileContent&) const = default;
};

struct Fingerprint {
  FileContent file;
  std::string plugins;  ///< which files, and when each last changed
  bool operator==(const Fingerprint&) const = default;
};

/// Reads it; nothing where there is no file. Hangs where the file system does.
FileContent lookAtFile(const std::optional<std::string>& file, config::Streams streams);

/// As lookAtFile() with pipes, but gives up on a file system that hangs, and waits a little while the file is being
/// written.
FileContent lookAtFirst(const std::optional<std::string>& file);

/// FileContent::problem of a file that a look did not come back from.
extern const char* const kHangs;

/// Whether a process has the file open for writing; nothing where this process may not know, since it does not own the
/// file, or the file system cannot tell. Hangs where the file system does.
std::optional<bool> askForWriter(const std::string& path);

/// Which file it is and when it last changed, without reading it: a line of Fingerprint::plugins.
std::string lookAtPlugin(const std::string& path);

/// For Fingerprint::plugins.
std::string lookAtPlugins(const std::vector<std::string>& directories);

/// The files in the directories that could be plugins, sorted.
std::vector<std::string> pluginFiles(const std::vector<std::string>& directories);

}  // namespace lemonade
