// SPDX-License-Identifier: MIT
#include "plugin/shared_objects.h"

#include <dirent.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string_view>

namespace lemonade::plugin {

std::vector<std::string> sharedObjects(const std::string& folder, std::error_code& failed) {
  constexpr std::string_view kEnding = ".so";
  std::vector<std::string> files;
  const auto close = [](DIR* open) { ::closedir(open); };
  errno = 0;
  const std::unique_ptr<DIR, decltype(close)> entries(::opendir(folder.c_str()), close);
  if (entries != nullptr) {
    const std::string prefix = folder.ends_with('/') ? folder : folder + "/";
    errno = 0;
    while (const dirent* const entry = ::readdir(entries.get())) {
      const std::string_view name = entry->d_name;
      if (name.ends_with(kEnding) && name != kEnding) files.push_back(prefix + std::string(name));
    }
  }
  failed = std::error_code(errno, std::generic_category());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace lemonade::plugin
