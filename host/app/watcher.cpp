// SPDX-License-Identifier: MIT
#include "app/watcher.h"

#include "base/fd.h"
#include "base/log.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

namespace lemonade::app {

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr Duration kMoment = 100ms;

/// True where somebody has the file open for writing. The kernel grants a read lease only where nobody has; where it may
/// not be asked for (a foreign file, a file system without leases) the two looks must do.
bool beingWritten(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return false;
  if (::fcntl(fd.get(), F_SETLEASE, F_RDLCK) == 0) {
    (void)::fcntl(fd.get(), F_SETLEASE, F_UNLCK);
    return false;
  }
  return errno == EAGAIN;
}

/// Which file it is and when it last changed, without reading it.
std::string stateOf(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return path + "\n";
  return path + " " + std::to_string(status.st_dev) + " " + std::to_string(status.st_ino) + " " +
         std::to_string(status.st_size) + " " + std::to_string(status.st_mtim.tv_sec) + "." +
         std::to_string(status.st_mtim.tv_nsec) + " " + std::to_string(status.st_ctim.tv_sec) + "." +
         std::to_string(status.st_ctim.tv_nsec) + "\n";
}

std::vector<std::string> pluginFiles(const std::vector<std::string>& directories) {
  std::vector<std::string> files;
  for (const auto& directory : directories) {
    std::error_code failed;
    for (fs::directory_iterator it(directory, failed), end; !failed && it != end; it.increment(failed))
      if (it->path().extension() == ".so") files.push_back(it->path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

Watcher::Watcher(std::optional<std::string> file, Reload reload) : file_(std::move(file)), reload_(std::move(reload)) {}

Watcher::~Watcher() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Watcher::configure(Duration interval, std::vector<std::string> plugin_directories) {
  const std::lock_guard lock(mutex_);
  interval_ = interval;
  directories_ = std::move(plugin_directories);
  if (!thread_.joinable()) {
    known_ = look(directories_);
    thread_ = std::thread([this] { run(); });
  }
  changed_.notify_all();
}

std::shared_future<Reloaded> Watcher::request(const std::string& reason) {
  const std::lock_guard lock(mutex_);
  if (!requested_) {
    requested_ = reason;
    promise_ = {};
    answer_ = promise_.get_future().share();
  }
  changed_.notify_all();
  return answer_;
}

std::string Watcher::look(const std::vector<std::string>& directories) const {
  std::string seen;
  if (file_) {
    auto content = config::readFile(*file_);
    seen = content ? std::move(content).value() : content.error().message;
  }
  seen += '\0';
  for (const auto& file : pluginFiles(directories)) seen += stateOf(file);
  return seen;
}

// What there is to see, once it stays the same for a moment and nobody is writing; nothing where that takes long.
std::optional<std::string> Watcher::settled(const std::vector<std::string>& directories) {
  std::string before = look(directories);
  std::unique_lock lock(mutex_);
  for (int i = 0; i < 50; ++i) {
    if (changed_.wait_for(lock, kMoment, [this] { return stopping_; })) return std::nullopt;
    lock.unlock();
    std::string now = look(directories);
    bool writing = file_ && beingWritten(*file_);
    for (const auto& file : pluginFiles(directories)) writing = writing || beingWritten(file);
    if (now == before && !writing) return now;
    before = std::move(now);
    lock.lock();
  }
  return std::nullopt;
}

void Watcher::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    changed_.wait_for(lock, interval_, [this] { return stopping_ || requested_; });
    if (stopping_) break;
    const auto directories = directories_;
    const auto request = std::exchange(requested_, std::nullopt);
    std::promise<Reloaded> promise = std::move(promise_);
    lock.unlock();
    std::optional<std::string> seen;
    if (request || look(directories) != known_) seen = settled(directories);
    if (request || (seen && *seen != known_)) {
      if (seen) known_ = *seen;
      Reloaded reloaded = reload_(request.value_or("changed files"));
      if (request) promise.set_value(std::move(reloaded));
    }
    lock.lock();
  }
  if (requested_) promise_.set_value({false, {"the balancer is stopping"}});
}

}  // namespace lemonade::app
