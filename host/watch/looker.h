// SPDX-License-Identifier: MIT
//
// Looks at files where looking may never end: a network mount whose server is gone holds whoever asks it, in the
// kernel, where nothing reaches. So each look has a thread of its own, which is left behind where it hangs; the one who
// asked goes on.
//
// Looks that hang make further ones rarer, so that an outage of hours leaves a handful of threads and not thousands.
#pragma once

#include "base/clock.h"

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

namespace lemonade {

class Looker {
 public:
  /// What a look is: it owns all that it touches, since it may outlive whoever asked.
  using Look = std::function<void()>;

  Looker() : shared_(std::make_shared<Shared>()) {}
  Looker(const Looker&) = delete;
  Looker& operator=(const Looker&) = delete;

  /// True where the look came to its end within the limit; else it hangs, or stop() was called. One at a time. Throws
  /// std::runtime_error where no thread can be made.
  bool look(Look look, Duration limit);
  /// True while earlier looks hang and it is too soon for another one that nobody asked for.
  bool resting() const;
  /// Ends the waiting for a look under way and for all to come. Any thread.
  void stop();

 private:
  struct Shared {
    mutable std::mutex mutex;  // guards what follows
    std::condition_variable changed;
    unsigned hanging = 0;
    bool stopping = false;
  };

  const std::shared_ptr<Shared> shared_;  // which threads that hang keep, too
  std::uint64_t rest_until_ns_ = 0;
};

}  // namespace lemonade
