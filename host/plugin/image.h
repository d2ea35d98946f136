// SPDX-License-Identifier: MIT
//
// A loaded plugin: one generation of its code. It is loaded from a private copy under a unique name, so that whatever
// happens to the file in its directory (overwritten, truncated, replaced, deleted) never touches the running code, and
// the same file name with new content gives new code.
//
// Images stay mapped until the process ends: unmapping code is what every program that tried it came to regret.
#pragma once

#include "base/result.h"
#include "plugin/plugin_file.h"

#include <lemonade/plugin.h>

#include <cstdint>
#include <memory>
#include <string>

namespace lemonade::plugin {

class Image {
 public:
  /// Copies the file into directory (see PrivateDirectory) and loads the copy. Control thread.
  static Result<std::shared_ptr<const Image>> load(const PluginFile& file, const std::string& directory,
                                                   std::uint64_t generation);

  const lemonade_plugin_t& entry() const noexcept { return *entry_; }
  const std::string& id() const noexcept { return id_; }
  const std::string& version() const noexcept { return version_; }
  const std::string& file() const noexcept { return file_; }
  const std::string& hash() const noexcept { return hash_; }
  std::uint64_t generation() const noexcept { return generation_; }

 private:
  Image() = default;

  const lemonade_plugin_t* entry_ = nullptr;
  std::string id_;
  std::string version_;
  std::string file_;
  std::string hash_;
  std::uint64_t generation_ = 0;
};

}  // namespace lemonade::plugin
