// SPDX-License-Identifier: MIT
//
// A simulated backend: a queue and one worker that serves it in order, or some workers. Work whose client has left is
// done all the same, as in servers that do not look. Owner: World; one thread.
#pragma once

#include "simulation/scenario.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

namespace lemonade::sim {

class Server {
 public:
  struct Job {
    std::uint32_t session;
    std::uint32_t use;  ///< of the session
    double work_ns;
    std::uint64_t came_at = 0;  ///< set by take
    std::uint32_t found = 0;    ///< requests that were there; set by take
  };

  explicit Server(std::uint32_t workers = 1) : workers_(workers) {}

  bool down() const noexcept { return down_; }
  /// Every new connection.
  bool resets() const noexcept { return resets_ >= 1; }
  /// The share of new connections that it resets.
  double resetShare() const noexcept { return resets_; }
  bool answers() const noexcept { return !hangs_ && !down_ && !resets(); }
  double slowness() const noexcept { return slowness_; }
  std::size_t queued() const noexcept { return running_.size() + waiting_.size(); }
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
        resets_ = step.factor;
        return;
      case Action::kHang:
        hangs_ = true;
        break;
      case Action::kDown:
        down_ = true;
        break;
      case Action::kUp:
        hangs_ = down_ = false;
        resets_ = 0;
        return;
    }
    running_.clear();
    waiting_.clear();
    waiting_ns_ = 0;
    ++stretch_;
  }

  /// Queues a request; returns when it is done where work on it begins at once.
  std::optional<std::uint64_t> take(Job job, std::uint64_t now) {
    if (hangs_ || down_) return std::nullopt;
    job.came_at = now;
    job.found = static_cast<std::uint32_t>(queued());
    if (running_.size() < workers_) {
      const auto ends = start(job, now);
      longest_ = std::max(longest_, queued());
      return ends;
    }
    waiting_ns_ += job.work_ns;
    waiting_.push_back(job);
    longest_ = std::max(longest_, queued());
    return std::nullopt;
  }

  /// Has the server do so much more, along with the next request that it begins with.
  void charge(double work_ns) noexcept { charged_ns_ += work_ns; }

  /// Ends the work on the request that is done first, which is returned; `next` is when the one after it is done, where
  /// work on that begins now.
  Job finish(std::uint64_t now, std::optional<std::uint64_t>& next) {
    const auto first = std::min_element(running_.begin(), running_.end(),
                                        [](const Running& a, const Running& b) { return a.ends < b.ends; });
    const Job done = first->job;
    last_service_ns_ = static_cast<double>(now - first->began);
    running_.erase(first);
    remember(done, now);
    if (waiting_.empty()) {
      next = std::nullopt;
      return done;
    }
    const Job job = waiting_.front();
    waiting_.pop_front();
    waiting_ns_ = waiting_.empty() ? 0 : waiting_ns_ - job.work_ns;
    next = start(job, now);
    return done;
  }

  /// How long until it could begin with another request; infinity where it answers nothing.
  double workLeftNs(std::uint64_t now) const {
    if (!answers()) return std::numeric_limits<double>::infinity();
    double left = waiting_ns_ * slowness_;
    for (const auto& one : running_) left += one.ends > now ? static_cast<double>(one.ends - now) : 0;
    return left / workers_;
  }
  double lastServiceNs() const noexcept { return last_service_ns_; }
  /// The median time of those of the last requests that found about as many as there are now.
  double latencyNs() const {
    if (past_.empty()) return 0;
    std::vector<double> near;
    for (std::size_t width = 0; near.size() < std::min<std::size_t>(5, past_.size()); ++width) {
      near.clear();
      for (const auto& one : past_)
        if (one.found + width >= queued() && one.found <= queued() + width) near.push_back(one.took_ns);
    }
    const auto middle = near.begin() + static_cast<std::ptrdiff_t>(near.size() / 2);
    std::nth_element(near.begin(), middle, near.end());
    return *middle;
  }

 private:
  static constexpr std::size_t kRemembered = 50;

  struct Running {
    Job job;
    std::uint64_t began;
    std::uint64_t ends;
  };
  struct Past {
    std::size_t found;
    double took_ns;
  };

  std::uint64_t start(const Job& job, std::uint64_t now) {
    const double work_ns = job.work_ns + std::exchange(charged_ns_, 0.0);
    const std::uint64_t ends = now + static_cast<std::uint64_t>(work_ns * slowness_);
    running_.push_back({job, now, ends});
    return ends;
  }

  void remember(const Job& job, std::uint64_t now) {
    if (past_.size() == kRemembered) past_.pop_front();
    past_.push_back({job.found, static_cast<double>(now - job.came_at)});
  }

  std::uint32_t workers_;
  std::vector<Running> running_;  // in the order in which they began
  std::deque<Job> waiting_;
  double waiting_ns_ = 0;  // of work, at the speed of a healthy server
  double charged_ns_ = 0;
  std::deque<Past> past_;  // the newest last
  double last_service_ns_ = 0;
  std::size_t longest_ = 0;
  double slowness_ = 1;
  bool hangs_ = false;
  double resets_ = 0;
  bool down_ = false;
  std::uint32_t stretch_ = 0;
};

}  // namespace lemonade::sim
