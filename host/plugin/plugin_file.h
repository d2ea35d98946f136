// SPDX-License-Identifier: MIT
//
// A plugin as a file: who it says it is and whether this host can load it, decided from its bytes before any of its
// code runs. The file is opened once; owner, mode, content and hash are all of that one open.
#pragma once

#include "base/fd.h"
#include "base/result.h"

#include <cstdint>
#include <string>
#include <vector>

namespace lemonade::plugin {

/// What the file of a loadable plugin says.
struct PluginFile {
  std::string path;  ///< as found
  std::string id;
  std::string version;
  std::uint32_t kinds = 0;  ///< mask of LEMONADE_KIND_*
  std::uint32_t flags = 0;  ///< mask of LEMONADE_FLAG_*
  std::string hash;         ///< of the content, hexadecimal
  std::vector<std::byte> content;
};

/// Reads and judges a file. The error says what is wrong with it, without its name.
Result<PluginFile> readPluginFile(const std::string& path);
/// The same of one that is open already, and called path.
Result<PluginFile> readPluginFile(const Fd& fd, const std::string& path);

}  // namespace lemonade::plugin
