// SPDX-License-Identifier: MIT
#include "watch/writer_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

namespace lemonade {

namespace {

constexpr std::uint32_t kOfFile = IN_MODIFY | IN_CLOSE_WRITE;
constexpr std::uint32_t kOfFolder = kOfFile | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_ONLYDIR;
constexpr std::size_t kMostNames = 1'000;  // of a folder in which others write a lot

}  // namespace

struct WriterWatch::Event {
  int watch;
  std::uint32_t mask;
  std::uint32_t cookie;
  std::string name;
};

WriterWatch::WriterWatch() : fd_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {}

WriterWatch::Place WriterWatch::mark(const std::string& path) const {
  std::error_code failed;
  const auto real = std::filesystem::canonical(path, failed);
  if (!fd_ || failed) return {};
  Place place;
  place.name = real.filename().string();
  place.folder = ::inotify_add_watch(fd_.get(), real.parent_path().c_str(), kOfFolder);
  place.file = ::inotify_add_watch(fd_.get(), real.c_str(), kOfFile);
  return place;
}

void WriterWatch::hear(const Place& place) {
  const Place before = std::exchange(place_, place);
  if (before.file != place.file) {
    file_written_ = false;
    if (before.file >= 0) (void)::inotify_rm_watch(fd_.get(), before.file);
  }
  if (before.folder != place.folder) {
    written_names_.clear();
    on_the_move_.clear();
    if (before.folder >= 0) (void)::inotify_rm_watch(fd_.get(), before.folder);
  }
  alignas(inotify_event) char buffer[16'384];
  for (ssize_t size = 0; fd_ && (size = ::read(fd_.get(), buffer, sizeof(buffer))) > 0;) {
    for (ssize_t at = 0; at < size;) {
      inotify_event head;
      std::memcpy(&head, buffer + at, sizeof(head));
      const char* name = buffer + at + sizeof(head);
      take({head.wd, head.mask, head.cookie, head.len != 0 ? std::string(name) : std::string()});
      at += static_cast<ssize_t>(sizeof(head) + head.len);
    }
  }
}

bool WriterWatch::writing() const { return file_written_ || written_names_.contains(place_.name); }

bool WriterWatch::concerns(const Event& event) const {
  return event.watch == place_.file || (event.watch == place_.folder && event.name == place_.name);
}

void WriterWatch::take(const Event& event) {
  if ((event.mask & IN_Q_OVERFLOW) != 0) {
    // What is being written is no longer known, so nothing is.
    file_written_ = false;
    written_names_.clear();
    return;
  }
  if ((event.mask & kOfFile) != 0 && concerns(event)) last_write_ns_ = nowNs();
  const bool written = (event.mask & IN_MODIFY) != 0;
  if (event.watch == place_.file) {
    if ((event.mask & kOfFile) != 0) file_written_ = written;
    return;
  }
  if (event.watch != place_.folder || event.name.empty()) return;
  if (written && written_names_.size() < kMostNames) written_names_.insert(event.name);
  if ((event.mask & (IN_CLOSE_WRITE | IN_DELETE)) != 0) written_names_.erase(event.name);
  if ((event.mask & IN_MOVED_FROM) != 0) on_the_move_[event.cookie] = written_names_.erase(event.name) != 0;
  if ((event.mask & IN_MOVED_TO) != 0) {
    const auto moved = on_the_move_.extract(event.cookie);
    written_names_.erase(event.name);
    if (!moved.empty() && moved.mapped()) written_names_.insert(event.name);
  }
  if (on_the_move_.size() > kMostNames) on_the_move_.clear();
}

}  // namespace lemonade
