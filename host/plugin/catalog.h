// SPDX-License-Identifier: MIT
//
// Which plugins there are: the loadable files of the plugin directories, by id. Scanning runs no plugin code.
#pragma once

#include "plugin/known_files.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace lemonade::plugin {

/// A plugin that a directory holds.
struct Entry {
  std::string path;
  std::string version;
  std::uint32_t kinds = 0;
  std::string hash;  ///< of the content
};

/// What was skipped and why, as one line for the log.
struct Remark {
  std::string path;  ///< the file or directory that it is about
  std::string text;
};

/// The result of one scan; a plain value.
struct Catalog {
  std::map<std::string, Entry> plugins;  ///< by id
  std::vector<Remark> remarks;

  /// Scans directories in the order of precedence: of two files with the same id the higher version wins, of equal
  /// versions the first directory (within one directory the first name), and the other is remarked on. Only *.so files
  /// count. A directory that cannot be read is remarked on. known: what the scan before has read of them.
  static Catalog scan(const std::vector<std::string>& directories, KnownFiles& known);

  /// The ids of one kind, comma separated, for a message.
  std::string idsOfKind(std::uint32_t kind) const;
};

}  // namespace lemonade::plugin
