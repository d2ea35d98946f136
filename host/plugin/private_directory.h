// SPDX-License-Identifier: MIT
//
// The directory for the private copies of plugins: this process's own, removed when it ends.
#pragma once

#include <string>

namespace lemonade::plugin {

/// Makes a directory of mode 0700 below the first of these that allows execution: preferred (where not ""),
/// $RUNTIME_DIRECTORY, $XDG_RUNTIME_DIR, the temporary directory. Control thread.
class PrivateDirectory {
 public:
  explicit PrivateDirectory(const std::string& preferred);
  /// Removes the directory with what is in it; loaded images live on.
  ~PrivateDirectory();
  PrivateDirectory(const PrivateDirectory&) = delete;
  PrivateDirectory& operator=(const PrivateDirectory&) = delete;

  /// "" where no directory allows execution: copies are then kept in memory.
  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

}  // namespace lemonade::plugin
