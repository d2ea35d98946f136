// SPDX-License-Identifier: MIT
#include "plugin/known_files.h"

#include <chrono>
#include <cstdint>
#include <utility>

namespace lemonade::plugin {

namespace {

using namespace std::chrono_literals;

/// Times of files go forward in steps: a second change within a step, of two seconds at the most (FAT), shows in none.
constexpr std::chrono::nanoseconds kStep = 2s;

std::chrono::nanoseconds sinceEpoch(const timespec& time) {
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

bool sameTime(const timespec& a, const timespec& b) { return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec; }

/// The time of change covers owner and mode, too.
bool unchanged(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size && sameTime(a.st_mtim, b.st_mtim) &&
         sameTime(a.st_ctim, b.st_ctim);
}

bool leftAlone(const struct stat& status) {
  const std::chrono::nanoseconds now = std::chrono::system_clock::now().time_since_epoch();
  return sinceEpoch(status.st_ctim) + kStep < now && sinceEpoch(status.st_mtim) + kStep < now;
}

}  // namespace

Result<PluginFile> KnownFiles::describe(const std::string& path) {
  struct stat status {};
  const bool there = ::stat(path.c_str(), &status) == 0;
  if (const auto known = before_.find(path); there && known != before_.end() && unchanged(known->second.status, status))
    return now_.insert_or_assign(path, std::move(before_.extract(known).mapped())).first->second.file;
  const bool lasting = there && leftAlone(status);  // what changes from here on has a later time
  auto file = readPluginFile(path);
  if (!file) return file;  // which may be no fault of the file, such as a want of descriptors
  file.value().content = {};
  if (lasting) now_.insert_or_assign(path, Known{status, file.value()});
  return file;
}

void KnownFiles::forgetOthers() {
  before_ = std::move(now_);
  now_.clear();
}

}  // namespace lemonade::plugin
