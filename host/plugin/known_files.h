// SPDX-License-Identifier: MIT
//
// What the files of plugins said when they were last read, so that a scan reads only what has changed since. One thread
// at a time.
#pragma once

#include "base/result.h"
#include "plugin/plugin_file.h"

#include <sys/stat.h>

#include <map>
#include <string>

namespace lemonade::plugin {

class KnownFiles {
 public:
  /// What readPluginFile() says of the file, without its content. The file is read again unless it was a plugin, is the
  /// same one with the same size and times, and had been left alone for a moment when it was read.
  Result<PluginFile> describe(const std::string& path);
  /// Ends a scan: forgets what describe() was not asked for since the last call.
  void forgetOthers();

 private:
  struct Known {
    struct stat status {};
    PluginFile file;
  };

  std::map<std::string, Known> before_;  // by path, of the scan before
  std::map<std::string, Known> now_;
};

}  // namespace lemonade::plugin
