// SPDX-License-Identifier: MIT
//
// Notices when the configuration or a plugin has changed and has it reloaded, on a thread of its own: reading files and
// waiting for names must not hold up the control thread.
//
// It looks every config_watch_interval at the content of the file and at what the plugin directories hold, so an
// in-place write, a rename and the symlink swap of a mounted ConfigMap all show. It acts when two looks a moment apart
// agree and nobody is writing: a half-written file is never taken for whole. What was written in place must also have
// been left alone for a moment longer (700 ms), unless somebody asks for the reload. What is applied is what was looked
// at; the file is not read again.
//
// A file system that does not answer holds up nothing: see looker.h.
#pragma once

#include "base/clock.h"
#include "watch/fingerprint.h"
#include "watch/looker.h"
#include "watch/writer_watch.h"

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace lemonade {

/// What came of a reload.
struct Reloaded {
  bool applied = false;
  std::vector<std::string> lines;  ///< the differences, or what is wrong
};

class Watcher {
 public:
  /// Validates and applies what the file holds; runs on the watcher's thread. reason is "changed files", "SIGHUP",
  /// "request" ...
  using Reload = std::function<Reloaded(const std::string& reason, const FileContent& file)>;
  /// Hears what came of a reload.
  using Heard = std::function<void(const Reloaded&)>;

  /// Nothing is watched but the plugin directories where file is nothing. known is what runs already.
  Watcher(std::optional<std::string> file, Fingerprint known, Reload reload);
  ~Watcher() { stop(); }
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  /// Called at each turn of the watcher's thread, changed or not, for what is looked at beside. Before configure().
  void eachTurn(std::function<void()> also) { also_ = std::move(also); }
  /// How often to look, and at which plugin directories. Starts watching; again: changes that. Any thread.
  void configure(Duration interval, std::vector<std::string> plugin_directories);
  /// Reloads soon, changed or not; heard is called when that is done, on the watcher's thread, or at once where it has
  /// stopped. It must not call back. Any thread; never blocks.
  void request(const std::string& reason, Heard heard);
  /// The same for one who can wait.
  std::shared_future<Reloaded> request(const std::string& reason);
  /// Waits for a reload under way; what is requested from now on is refused.
  void stop();

 private:
  /// What a look shows, and why it is not to be taken as it is.
  struct Seen {
    Fingerprint fingerprint;
    bool writing = false;
    bool file_hangs = false;
    bool plugins_hang = false;
  };

  /// closely: asks also who writes the plugins.
  Seen look(const std::vector<std::string>& directories, bool closely);
  void lookAtTheFile(Seen& seen);
  void lookAtThePlugins(Seen& seen, const std::vector<std::string>& directories, bool closely);
  std::optional<Fingerprint> settled(Seen before, const std::vector<std::string>& directories, bool asked);
  bool leftAlone(int equal_looks) const;
  void run();
  void lookBeside() noexcept;
  void hearOfWriters() noexcept;
  Reloaded answerTo(const std::optional<std::string>& request) noexcept;
  Reloaded reloadWhereChanged(const std::optional<std::string>& request);

  const std::optional<std::string> file_;
  const Reload reload_;
  std::function<void()> also_ = [] {};

  // Watcher's thread only.
  Fingerprint known_;
  const std::shared_ptr<WriterWatch> writers_;  // which looks that hang keep, too
  bool writers_known_ = false;                  // the kernel tells of them

  Looker looker_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  Duration interval_{};
  std::vector<std::string> directories_;
  std::optional<std::string> requested_;  // the reason
  std::vector<Heard> heard_;              // of who requested it
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace lemonade
