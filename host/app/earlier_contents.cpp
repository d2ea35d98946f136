// SPDX-License-Identifier: MIT
#include "app/earlier_contents.h"

#include "base/read_write.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

namespace lemonade::app {

namespace {

/// The content in memory that nobody can change any more; owns nothing where there is no memory.
Fd inMemory(const plugin::PluginFile& file) {
  Fd memory(::memfd_create(file.id.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  const bool made = memory && writeAll(memory.get(), file.content.data(), file.content.size()) &&
                    ::fchmod(memory.get(), S_IRUSR) == 0 &&
                    ::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0;
  return made ? std::move(memory) : Fd();
}

}  // namespace

void EarlierContents::read(std::vector<Fd> files) {
  for (auto& fd : files) {
    auto file = plugin::readPluginFile(fd, "a version before");
    if (!file) continue;
    left_.push_back(std::make_shared<plugin::PluginFile>(std::move(file).value()));
    kept_.insert_or_assign(left_.back()->hash, std::move(fd));
  }
}

std::vector<EarlierContents::Content> EarlierContents::find(const std::string& id, const std::string& path,
                                                            const Quarantine& quarantine) const {
  std::vector<Content> found;
  for (const auto& content : left_) {
    if (content->id != id || quarantine.contains(content->hash)) continue;
    content->path = path;
    found.push_back(content);
  }
  return found;
}

bool EarlierContents::keep(const std::vector<Content>& contents, const supervisor::Link& supervisor) {
  if (!supervisor.exists()) return true;
  std::map<std::string, Fd> kept;
  std::vector<int> files;
  bool all = true;
  for (const auto& content : contents) {
    if (files.size() == kMost || content->content.size() > kLargest || kept.contains(content->hash)) continue;
    const auto known = kept_.find(content->hash);
    Fd memory = known != kept_.end() ? std::move(known->second) : inMemory(*content);
    all = all && memory;
    if (!memory) continue;
    files.push_back(memory.get());
    kept.emplace(content->hash, std::move(memory));
  }
  std::swap(kept_, kept);
  if (files.empty() && kept.empty()) return all;  // nothing was kept and nothing is to be
  return supervisor.keepEarlier(files) && all;
}

}  // namespace lemonade::app
