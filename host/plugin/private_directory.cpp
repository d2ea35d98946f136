// SPDX-License-Identifier: MIT
#include "plugin/private_directory.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <system_error>

namespace lemonade::plugin {

namespace {

namespace fs = std::filesystem;

/// Versions before the lock made "lemonade-plugins-XXXXXX": whether their owner lives cannot be told, so the name
/// differs.
constexpr const char* kName = "lemonade-plugins-held-";
constexpr int kTries = 8;  // to make one that nobody sweeps before it is locked

/// The paths of the directories of this process. Never destroyed: an end by force may come at any time.
struct Held {
  std::mutex mutex;
  std::vector<std::string> paths;
};
Held& held() {
  static auto& instance = *new Held;
  return instance;
}

Fd openDirectory(const std::string& path) {
  return Fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
}

/// The directory that is open there still has that name.
bool named(const Fd& fd, const std::string& path) {
  struct stat of_fd {
  }, of_path{};
  return ::fstat(fd.get(), &of_fd) == 0 && ::lstat(path.c_str(), &of_path) == 0 && of_fd.st_dev == of_path.st_dev &&
         of_fd.st_ino == of_path.st_ino;
}

bool mine(const Fd& fd) {
  struct stat status {};
  return ::fstat(fd.get(), &status) == 0 && status.st_uid == ::geteuid();
}

}  // namespace

PrivateDirectory::PrivateDirectory(std::string path, Fd fd) : path_(std::move(path)), fd_(std::move(fd)) {
  const std::lock_guard lock(held().mutex);
  held().paths.push_back(path_);
}

Result<std::unique_ptr<PrivateDirectory>> PrivateDirectory::make(const std::string& parent) {
  std::error_code ignored;
  if (fs::create_directories(parent, ignored)) (void)::chmod(parent.c_str(), 0700);
  const auto failure = [&parent] { return Error{"cannot make a folder in " + parent + ": " + std::strerror(errno)}; };
  for (int i = 0; i < kTries; ++i) {
    std::string path = parent + "/" + kName + "XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) return failure();
    Fd fd = openDirectory(path);
    if (!fd && errno != ENOENT) {
      const auto failed = failure();
      (void)::rmdir(path.c_str());
      return failed;
    }
    // Where another process looked in between, it holds the lock or has removed the directory. Where the file system
    // knows no locks, others cannot lock either, and leave it alone.
    const bool locked = fd && (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK);
    if (locked && named(fd, path)) return std::unique_ptr<PrivateDirectory>(new PrivateDirectory(path, std::move(fd)));
  }
  return Error{"cannot make a folder in " + parent + ": each is removed at once"};
}

std::vector<std::string> PrivateDirectory::parents(const std::string& preferred) {
  std::vector<std::string> parents{preferred};
  for (const char* name : {"RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"})
    if (const char* value = ::getenv(name))  // systemd names several with a colon between
      parents.emplace_back(value, std::strcspn(value, ":"));
  std::error_code failed;
  parents.push_back(fs::temp_directory_path(failed).string());
  std::vector<std::string> distinct;
  for (auto& parent : parents)
    if (!parent.empty() && std::find(distinct.begin(), distinct.end(), parent) == distinct.end())
      distinct.push_back(std::move(parent));
  return distinct;
}

std::size_t PrivateDirectory::sweep(const std::vector<std::string>& parents) {
  std::size_t swept = 0;
  for (const auto& parent : parents) {
    std::error_code failed;
    std::vector<std::string> found;
    for (fs::directory_iterator entry(parent, failed), end; !failed && entry != end; entry.increment(failed))
      if (entry->path().filename().string().starts_with(kName)) found.push_back(entry->path().string());
    for (const auto& path : found) {
      const Fd fd = openDirectory(path);
      if (!fd || !mine(fd) || ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0 || !named(fd, path)) continue;
      std::error_code ignored;
      fs::remove_all(path, ignored);
      if (!fs::exists(path, ignored)) ++swept;
    }
  }
  return swept;
}

void PrivateDirectory::removeAll() {
  const std::lock_guard lock(held().mutex);
  std::error_code ignored;
  for (const auto& path : held().paths) fs::remove_all(path, ignored);
}

PrivateDirectory::~PrivateDirectory() {
  std::error_code ignored;
  if (named(fd_, path_)) fs::remove_all(path_, ignored);
  const std::lock_guard lock(held().mutex);
  std::erase(held().paths, path_);
}

bool PrivateDirectory::empty() const {
  std::error_code failed;
  return !named(fd_, path_) || fs::is_empty(path_, failed);
}

}  // namespace lemonade::plugin
