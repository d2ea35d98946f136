// SPDX-License-Identifier: MIT
//
// The loaded code of a plugin. It is loaded from a private copy under a unique name, so that whatever happens to the
// file in its directory (overwritten, truncated, replaced, deleted) never touches the running code, and the same file
// name with new content gives new code.
//
// Unmapping code is what every program that tried it came to regret. So an image stays mapped until the process ends,
// unless its plugin declares LEMONADE_FLAG_UNLOAD_SAFE, and even then the dynamic linker has the last word: what it
// keeps (thread-local destructors, NODELETE) stays and is counted. Under AddressSanitizer and ThreadSanitizer all of
// them stay, or their reports would lose the symbols.
#pragma once

#include "base/result.h"
#include "plugin/plugin_file.h"
#include "plugin/private_copies.h"

#include <lemonade/plugin.h>

#include <cstdint>
#include <memory>
#include <string>

namespace boost::dll {
class shared_library;
}

namespace lemonade::plugin {

/// The last owner may unmap it, so each owner drops it on the control thread, or after that has ended.
class Image {
 public:
  // How large the structs of its descriptor are at least, in bytes: as large as in ABI 1.0.
  static constexpr std::uint32_t kDescriptorSizeIn1_0 = LEMONADE_SIZE_TO(lemonade_plugin_t, get_interface);
  static constexpr std::uint32_t kOptionSizeIn1_0 = LEMONADE_SIZE_TO(lemonade_option_t, doc);

  /// Loads the private copy of file, which is gone afterwards where that fails. Control thread.
  static Result<std::shared_ptr<const Image>> load(const PluginFile& file, PrivateCopy copy);

  ~Image();
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;

  /// Images mapped now, those that nothing uses any more included. Any thread.
  static std::uint64_t mapped() noexcept;

  const lemonade_plugin_t& entry() const noexcept { return *entry_; }
  const std::string& id() const noexcept { return id_; }
  const std::string& version() const noexcept { return version_; }
  const std::string& file() const noexcept { return file_; }
  const std::string& hash() const noexcept { return hash_; }
  /// True where it is unmapped once nobody has it any more.
  bool isUnloadSafe() const noexcept { return unload_safe_; }

 private:
  Image() noexcept;
  bool unmap();

  std::unique_ptr<boost::dll::shared_library> library_;
  PrivateCopy copy_;
  bool unload_safe_ = false;
  const lemonade_plugin_t* entry_ = nullptr;
  std::string id_;
  std::string version_;
  std::string file_;
  std::string hash_;
};

}  // namespace lemonade::plugin
