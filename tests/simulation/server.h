// SPDX-License-Identifier: MIT
//
// A simulated backend: a queue and one worker that serves it in order. Work whose client has left is done all the same,
// as in servers that do not look. Owner: World; one thread.
#pragma once

#include "simulation/scenario.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

namespace lemonade::sim {

class Server {
 public:
  struct Job {
    std::uint32_t session;
    std::uint32_t use;  ///< of the session
    double work_ns;
  };

  bool down() const noexcept { return down_; }
  bool resets() const noexcept { return resets_; }
  std::size_t queued() const noexcept { return jobs_.size(); }
  std::size_t longestQueue() const noexcept { return longest_; }
  /// Which stretch of work the newest planned end belongs to: it grows where work is forgotten.
  std::uint32_t stretch() const noexcept { return stretch_; }

  /// Begins to behave so.
  void behave(const Step& step) {
    switch (step.action) {
      case Action::kSlow:
        slowness_ = step.factor;
        return;
      case Action::kReset:
        resets_ = true;
        return;
      case Action::kHang:
        hangs_ = true;
        break;
      case Action::kDown:
        down_ = true;
        break;
      case Action::kUp:
        hangs_ = resets_ = down_ = false;
        return;
    }
    jobs_.clear();
    ++stretch_;
  }

  /// Queues a request; returns how long it takes where work on it begins at once.
  std::optional<std::uint64_t> take(const Job& job) {
    if (hangs_ || down_) return std::nullopt;
    jobs_.push_back(job);
    longest_ = std::max(longest_, jobs_.size());
    return jobs_.size() == 1 ? takes() : std::nullopt;
  }

  /// Ends the work on the first request, which is returned; `next` is how long the next one takes, if there is one.
  Job finish(std::optional<std::uint64_t>& next) {
    const Job done = jobs_.front();
    jobs_.pop_front();
    next = jobs_.empty() ? std::nullopt : takes();
    return done;
  }

 private:
  std::optional<std::uint64_t> takes() const { return static_cast<std::uint64_t>(jobs_.front().work_ns * slowness_); }

  std::deque<Job> jobs_;  // the first is being worked on
  std::size_t longest_ = 0;
  double slowness_ = 1;
  bool hangs_ = false;
  bool resets_ = false;
  bool down_ = false;
  std::uint32_t stretch_ = 0;
};

}  // namespace lemonade::sim
