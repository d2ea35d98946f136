// SPDX-License-Identifier: MIT
#include "watch/watcher.h"

#include "base/log.h"

#include <new>
#include <utility>

namespace lemonade {

namespace {

using namespace std::chrono_literals;

constexpr Duration kMoment = 100ms;
constexpr int kMostMoments = 20;
constexpr Duration kQuiet = 700ms;   // since the last write in place
constexpr Duration kLookLimit = 2s;  // after which a file system hangs
const Reloaded kStopping{false, {"the balancer is stopping"}};
constexpr const char* kBusy =
    "nothing is reloaded while the configuration or a plugin is being written; close the file, then ask again";

constexpr const char* kPluginsHang =
    "nothing is reloaded while a plugin directory cannot be read: its file system does not answer";

/// Without a word where there is no memory for it.
Reloaded withoutReloading(const char* why) noexcept try { return {false, {why}}; } catch (const std::bad_alloc&) {
  return {};
}

void tell(const std::vector<Watcher::Heard>& all, const Reloaded& reloaded) noexcept {
  for (const auto& heard : all) try {
      heard(reloaded);
    } catch (const std::exception& e) {
      log::error("config", "cannot answer who asked for a reload", {{"error", e.what()}});
    }
}

}  // namespace

Watcher::Watcher(std::optional<std::string> file, Fingerprint known, Reload reload)
    : file_(std::move(file)),
      reload_(std::move(reload)),
      known_(std::move(known)),
      writers_(std::make_shared<WriterWatch>()) {}

void Watcher::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  looker_.stop();
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

Watcher::Seen Watcher::look(const std::vector<std::string>& directories, bool closely) {
  Seen seen;
  lookAtTheFile(seen);
  lookAtThePlugins(seen, directories, closely);
  return seen;
}

void Watcher::lookAtTheFile(Seen& seen) {
  seen.fingerprint.file = known_.file;
  if (!file_ || !known_.file.again) return;
  struct Look {
    FileContent file;
    WriterWatch::Place place;
    std::optional<bool> writing;
  };
  const auto look = std::make_shared<Look>();
  const bool ended = looker_.look(
      [look, file = *file_, writers = writers_] {
        look->place = writers->mark(file);
        look->file = lookAtFile(file, config::Streams::kRefuse);
        look->writing = askForWriter(file);
      },
      kLookLimit);
  seen.file_hangs = !ended;
  seen.fingerprint.file = ended ? std::move(look->file) : FileContent{"", kHangs, true};
  if (!ended) return;
  writers_->hear(look->place);
  writers_known_ = look->place.file >= 0;
  // What was heard may mislead: a file whose time of change is set looks as if it were written and never closed.
  seen.writing = look->writing.value_or(writers_->writing());
}

void Watcher::lookAtThePlugins(Seen& seen, const std::vector<std::string>& directories, bool closely) {
  struct Look {
    std::string plugins;
    bool writing = false;
  };
  const auto look = std::make_shared<Look>();
  const bool ended = looker_.look(
      [look, directories, closely] {
        look->plugins = lookAtPlugins(directories);
        if (!closely) return;
        for (const auto& file : pluginFiles(directories))
          look->writing = look->writing || askForWriter(file).value_or(false);
      },
      kLookLimit);
  seen.plugins_hang = !ended;
  seen.fingerprint.plugins = ended ? std::move(look->plugins) : known_.plugins;
  seen.writing = seen.writing || look->writing;
}

// A writer that closes the file may still open it again for the rest.
bool Watcher::leftAlone(int equal_looks) const {
  if (!writers_known_) return equal_looks * kMoment >= kQuiet;
  return nowNs() - writers_->lastWriteNs() >= static_cast<std::uint64_t>(kQuiet.count());
}

// What there is to see, once it stays the same for a moment and nobody is writing; nothing where that takes long. What
// cannot be read is taken for that at once.
std::optional<Fingerprint> Watcher::settled(Seen before, const std::vector<std::string>& directories, bool asked) {
  std::unique_lock lock(mutex_);
  int equal = 0;
  for (int i = 0; i < kMostMoments; ++i) {
    if (before.plugins_hang) return std::nullopt;
    if (before.file_hangs) return before.fingerprint;
    if (changed_.wait_for(lock, kMoment, [this] { return stopping_; })) return std::nullopt;
    lock.unlock();
    Seen now = look(directories, true);
    equal = now.fingerprint == before.fingerprint && !now.writing ? equal + 1 : 0;
    if (equal != 0 && (asked || now.fingerprint.file == known_.file || leftAlone(equal))) return now.fingerprint;
    before = std::move(now);
    lock.lock();
  }
  return std::nullopt;
}

void Watcher::run() {
  hearOfWriters();
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const auto interval = interval_;
    changed_.wait_for(lock, interval, [&] { return stopping_ || requested_ || interval_ != interval; });
    if (stopping_) break;
    if (!requested_ && looker_.resting()) continue;
    const auto request = std::exchange(requested_, std::nullopt);
    const auto heard = std::exchange(heard_, {});
    lock.unlock();
    tell(heard, answerTo(request));
    lookBeside();
    lock.lock();
  }
  tell(std::exchange(heard_, {}), kStopping);
}

void Watcher::lookBeside() noexcept {
  try {
    also_();
  } catch (const std::exception& e) {
    log::error("config", "cannot look whether a file has changed", {{"error", e.what()}});
  }
}

// From the first moment on, not only from the first look.
void Watcher::hearOfWriters() noexcept {
  if (!file_ || !known_.file.again) return;
  try {
    (void)looker_.look([file = *file_, writers = writers_] { (void)writers->mark(file); }, kLookLimit);
  } catch (const std::exception&) {
    // For want of memory: the first look does it.
  }
}

// What it cannot look at or reload for want of memory it comes to at its next turn.
Reloaded Watcher::answerTo(const std::optional<std::string>& request) noexcept {
  try {
    return reloadWhereChanged(request);
  } catch (const std::exception& e) {
    log::error("config", "cannot look whether there is anything to reload", {{"error", e.what()}});
    return withoutReloading(e.what());
  }
}

Reloaded Watcher::reloadWhereChanged(const std::optional<std::string>& request) {
  std::vector<std::string> directories;
  {
    const std::lock_guard lock(mutex_);
    directories = directories_;
  }
  const auto refuse = [&](const char* why) {
    log::warning("config", why, {{"reason", request.value_or("changed files")}});
    return Reloaded{false, {why}};
  };
  Seen first = look(directories, request.has_value());
  if (first.plugins_hang) return refuse(kPluginsHang);
  const bool as_known = first.fingerprint == known_;
  if (!request && as_known) return {};
  // What has not changed since it was whole need not be waited for.
  auto seen = as_known && !first.writing ? std::optional(std::move(first.fingerprint))
                                         : settled(std::move(first), directories, request.has_value());
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return kStopping;
  }
  if (!seen) return request ? refuse(kBusy) : Reloaded{};
  if (!request && *seen == known_) return {};
  known_ = std::move(*seen);
  return reload_(request.value_or("changed files"), known_.file);
}

}  // namespace lemonade
