// SPDX-License-Identifier: MIT
#include "plugin/catalog.h"

#include "plugin/shared_objects.h"

#include <filesystem>
#include <set>
#include <system_error>

namespace lemonade::plugin {

namespace {

namespace fs = std::filesystem;

}  // namespace

Catalog Catalog::scan(const std::vector<std::string>& directories) {
  Catalog catalog;
  std::set<std::string> seen;
  for (const auto& directory : directories) {
    std::error_code ignored;
    if (!seen.insert(fs::weakly_canonical(directory, ignored).string()).second) continue;
    std::error_code failed;
    const auto files = sharedObjects(directory, failed);
    if (failed)
      catalog.remarks.push_back({directory, "plugin directory " + directory + " cannot be read: " + failed.message()});
    for (const auto& path : files) {
      auto file = readPluginFile(path);
      if (!file) {
        catalog.remarks.push_back({path, "skipped " + path + ": it " + file.error().message});
        continue;
      }
      const auto& read = file.value();
      const auto [entry, added] =
          catalog.plugins.try_emplace(read.id, Entry{path, read.version, read.kinds, read.hash});
      if (!added)
        catalog.remarks.push_back({path, "skipped " + path + ": its id " + read.id + " is taken by " +
                                             entry->second.path + ", which comes first"});
    }
  }
  return catalog;
}

std::string Catalog::idsOfKind(std::uint32_t kind) const {
  std::string ids;
  for (const auto& [id, entry] : plugins)
    if ((entry.kinds & kind) != 0) ids += (ids.empty() ? "" : ", ") + id;
  return ids.empty() ? "none" : ids;
}

}  // namespace lemonade::plugin
