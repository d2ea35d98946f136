// SPDX-License-Identifier: MIT
//
// Makes the private copies that plugins are loaded from, wherever that is possible at the moment: in this process's
// directory, in a new one where that is gone, full or may not be written or executed any more, and else in memory.
//
// Control thread.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "plugin/plugin_file.h"
#include "plugin/private_directory.h"

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace lemonade::plugin {

/// One private copy. Whoever maps it owns it.
struct PrivateCopy {
  std::string path;
  Fd memory = {};  ///< of a copy in memory: path leads through it, so it is open as long as the copy is mapped
};

class PrivateCopies {
 public:
  /// All copies in memory: nothing of them outlives a process that crashes.
  PrivateCopies() = default;
  /// In a directory that is made in one of PrivateDirectory::parents(preferred). Removes what killed processes left
  /// there.
  explicit PrivateCopies(const std::string& preferred);

  /// Another preference, for copies made from now on; those there are stay where they are.
  void prefer(const std::string& directory);

  /// Copies the content of file to a new path, which holds image_generation: the number of the image that is loaded
  /// from it, different for each image of this process. The error says what was tried.
  Result<PrivateCopy> make(const PluginFile& file, std::uint64_t image_generation);

  /// What an operator should know of where the copies go, since the last call.
  std::vector<std::string> takeRemarks() { return std::exchange(remarks_, {}); }
  /// How many directories of killed processes were removed so far.
  std::size_t swept() const noexcept { return swept_; }

 private:
  Result<PrivateCopy> copyToNewDirectory(const std::string& parent, const PluginFile& file, const std::string& name);
  void leaveDirectory();
  void remark(const std::string& trouble);

  std::vector<std::string> parents_;  // none: memory alone
  std::string preferred_;
  std::list<std::unique_ptr<PrivateDirectory>> directories_;  // of all copies there are
  PrivateDirectory* current_ = nullptr;  // one of them, where copies go; none: where the next one goes
  std::size_t swept_ = 0;
  std::string last_remark_;
  std::vector<std::string> remarks_;
};

}  // namespace lemonade::plugin
