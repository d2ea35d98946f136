// SPDX-License-Identifier: MIT
//
// A directory for the private copies of plugins: this process's own, removed when it ends. A lock on the directory says
// that its owner lives; the kernel drops it however the owner ends, so what a killed process left is told from what
// another one uses.
#pragma once

#include "base/fd.h"
#include "base/result.h"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace lemonade::plugin {

/// Control thread, but for removeAll().
class PrivateDirectory {
 public:
  /// Makes a directory of mode 0700 in `parent`, which is made, too, where it is missing.
  static Result<std::unique_ptr<PrivateDirectory>> make(const std::string& parent);

  /// Where such directories may be made, in the order of preference: preferred (where not ""), $RUNTIME_DIRECTORY,
  /// $XDG_RUNTIME_DIR, the temporary directory.
  static std::vector<std::string> parents(const std::string& preferred);

  /// Removes what processes of this user that live no more have left in these; returns how many directories that were.
  static std::size_t sweep(const std::vector<std::string>& parents);

  /// Removes the directories of this process with what is in them; loaded images live on. For an end by force: any
  /// thread, and what else happens to them meanwhile is no error.
  static void removeAll();

  /// Removes the directory with what is in it; loaded images live on.
  ~PrivateDirectory();
  PrivateDirectory(const PrivateDirectory&) = delete;
  PrivateDirectory& operator=(const PrivateDirectory&) = delete;

  const std::string& path() const noexcept { return path_; }
  /// The directory itself, whatever has its name now.
  int fd() const noexcept { return fd_.get(); }
  bool empty() const;

 private:
  PrivateDirectory(std::string path, Fd fd);

  const std::string path_;
  const Fd fd_;  // holds the lock
};

}  // namespace lemonade::plugin
