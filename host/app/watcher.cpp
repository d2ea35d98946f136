// SPDX-License-Identifier: MIT
#include "app/watcher.h"

#include "base/fd.h"
#include "base/log.h"

#include <fcntl.h>

#include <cerrno>
#include <utility>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;

constexpr Duration kMoment = 100ms;
constexpr int kMostMoments = 20;
const Reloaded kStopping{false, {"the balancer is stopping"}};
constexpr const char* kBusy =
    "nothing is reloaded while the configuration or a plugin is being written; close the file, then ask again";

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

void tell(const std::vector<Watcher::Heard>& all, const Reloaded& reloaded) noexcept {
  for (const auto& heard : all) try {
      heard(reloaded);
    } catch (const std::exception& e) {
      log::error("config", "cannot answer who asked for a reload", {{"error", e.what()}});
    }
}

}  // namespace

Watcher::Watcher(std::optional<std::string> file, Sight known, Reload reload)
    : file_(std::move(file)), reload_(std::move(reload)), known_(std::move(known)) {}

void Watcher::stop() {
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
  if (!thread_.joinable() && !stopping_) thread_ = std::thread([this] { run(); });
  changed_.notify_all();
}

void Watcher::request(const std::string& reason, Heard heard) {
  std::unique_lock lock(mutex_);
  if (stopping_) {
    lock.unlock();
    return heard(kStopping);
  }
  if (!requested_) requested_ = reason;
  heard_.push_back(std::move(heard));
  changed_.notify_all();
}

std::shared_future<Reloaded> Watcher::request(const std::string& reason) {
  const auto promise = std::make_shared<std::promise<Reloaded>>();
  request(reason, [promise](const Reloaded& reloaded) { promise->set_value(reloaded); });
  return promise->get_future().share();
}

Sight Watcher::look(const std::vector<std::string>& directories) const {
  return {lookAtFile(file_), lookAtPlugins(directories)};
}

// What there is to see, once it stays the same for a moment and nobody is writing; nothing where that takes long.
std::optional<Sight> Watcher::settled(const std::vector<std::string>& directories) {
  Sight before = look(directories);
  std::unique_lock lock(mutex_);
  for (int i = 0; i < kMostMoments; ++i) {
    if (changed_.wait_for(lock, kMoment, [this] { return stopping_; })) return std::nullopt;
    lock.unlock();
    Sight now = look(directories);
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
    const auto interval = interval_;
    changed_.wait_for(lock, interval, [&] { return stopping_ || requested_ || interval_ != interval; });
    if (stopping_) break;
    const auto request = std::exchange(requested_, std::nullopt);
    const auto heard = std::exchange(heard_, {});
    lock.unlock();
    tell(heard, answerTo(request));
    lock.lock();
  }
  tell(std::exchange(heard_, {}), kStopping);
}

// What it cannot look at or reload for want of memory it comes to at its next turn.
Reloaded Watcher::answerTo(const std::optional<std::string>& request) noexcept {
  try {
    return reloadWhereChanged(request);
  } catch (const std::exception& e) {
    log::error("config", "cannot look whether there is anything to reload", {{"error", e.what()}});
  }
  return {};
}

Reloaded Watcher::reloadWhereChanged(const std::optional<std::string>& request) {
  std::vector<std::string> directories;
  {
    const std::lock_guard lock(mutex_);
    directories = directories_;
  }
  if (!request && look(directories) == known_) return {};
  auto seen = settled(directories);
  if (!seen) {
    const std::lock_guard lock(mutex_);
    if (request && !stopping_) log::warning("config", kBusy, {{"reason", *request}});
    return stopping_ ? kStopping : Reloaded{false, {kBusy}};
  }
  if (!request && *seen == known_) return {};
  known_ = std::move(*seen);
  return reload_(request.value_or("changed files"));
}

}  // namespace lemonade::app
