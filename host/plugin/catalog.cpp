// SPDX-License-Identifier: MIT
#include "plugin/catalog.h"

#include "plugin/shared_objects.h"
#include "plugin/version_order.h"

#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

namespace lemonade::plugin {

namespace {

namespace fs = std::filesystem;

/// Two files have one id: the one with the higher version gets it, of equal ones the first. Says what is left out.
Remark settle(const std::string& id, Entry& first, const Entry& second) {
  const auto order = compareVersions(second.version, first.version);
  const Entry skipped = order > 0 ? std::exchange(first, second) : second;
  const std::string why = order == 0 ? ", which comes first with the same version " + first.version
                                     : ", whose version " + first.version + " is higher than " + skipped.version;
  return {skipped.path, "skipped " + skipped.path + ": its id " + id + " is taken by " + first.path + why};
}

}  // namespace

Catalog Catalog::scan(const std::vector<std::string>& directories, KnownFiles& known) {
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
      auto file = known.describe(path);
      if (!file) {
        catalog.remarks.push_back({path, "skipped " + path + ": it " + file.error().message});
        continue;
      }
      const auto& read = file.value();
      const Entry found{path, read.version, read.kinds, read.hash};
      const auto [entry, added] = catalog.plugins.try_emplace(read.id, found);
      if (!added) catalog.remarks.push_back(settle(read.id, entry->second, found));
    }
  }
  known.forgetOthers();
  return catalog;
}

std::string Catalog::idsOfKind(std::uint32_t kind) const {
  std::string ids;
  for (const auto& [id, entry] : plugins)
    if ((entry.kinds & kind) != 0) ids += (ids.empty() ? "" : ", ") + id;
  return ids.empty() ? "none" : ids;
}

}  // namespace lemonade::plugin
