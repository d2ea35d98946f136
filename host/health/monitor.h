// SPDX-License-Identifier: MIT
//
// Watches the backends: when each is checked, how its checks add up to up and down, and who hears of a change. The
// checks themselves run on a thread of their own (checks.h), and their outcomes come back here.
//
// A checker whose call was broken off, or that hangs, is called no more. Its backends keep the state that they have,
// and until there is another checker connecting takes its place; so it does for a check in which the checker itself
// failed. A connect that succeeds brings back only what could not be connected to: of a backend that answered wrongly
// it says nothing.
//
// Control thread only, but for the counters.
#pragma once

#include "balance/counters.h"
#include "base/clock.h"
#include "base/control_loop.h"
#include "health/checks.h"
#include "health/probe.h"
#include "health/rise_and_fall.h"

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <unordered_map>
#include <vector>

namespace lemonade::health {

struct CheckSettings {
  Duration interval = std::chrono::seconds(5);  ///< from the begin of one check to that of the next, give or take 10 %
  Duration timeout = std::chrono::seconds(2);   ///< of a whole check; where it exceeds the interval, that waits for it
  std::uint32_t rise = 2;                       ///< checks in a row that take a backend up, at least 1
  std::uint32_t fall = 3;                       ///< and down
  Duration fast_interval{};                     ///< instead of interval while a backend changes; 0: a fifth of it
  Duration down_interval{};                     ///< instead of interval while one is down; 0: interval
  config::Initial initial = config::Initial::kUp;  ///< of backends that are new from now on
  bool checks = true;                              ///< false: everybody is up, and there is no checker
  Probe::Route route{};                            ///< where checks connect to and from
};

/// What a monitor counted since it was made. Written by the control thread, read by any.
struct Counters {
  Counter checks;    ///< that came to an outcome
  Counter failures;  ///< of these, the failed ones
  Counter broken;    ///< that came to none because the checker itself failed
  Counter skipped;   ///< put off because this host lacked descriptors, memory or ports
};

class Monitor {
 public:
  /// Hears of a backend that went up or down, after Backend::setHealth and the log. May call the monitor back.
  using OnFlip = std::function<void(const std::shared_ptr<Backend>&)>;

  /// A check that came to an outcome, whether or not that changed anything.
  struct Check {
    std::shared_ptr<Backend> backend;
    bool passed;
    std::uint64_t began_ns;  ///< monotonic
  };
  /// Hears of each, after the flips. May call the monitor back.
  using OnCheck = std::function<void(const Check&)>;

  /// Checks that run at once; further ones wait their turn.
  static constexpr std::size_t kMaxRunning = 256;

  /// Watches nothing yet. loop, whose clock tells the time, and checks must outlive the monitor.
  Monitor(
      ControlLoop& loop, Checks& checks, OnFlip on_flip, OnCheck on_check = [](const Check&) {});
  ~Monitor();
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

  /// The checker to use from now on; without one nothing is checked. Checks that run are cancelled on the old one and
  /// begin again on the new one; what earlier checks found stays. The old one is let go of as soon as its checks have
  /// ended, on the control thread.
  void setChecker(std::shared_ptr<const Checker> checker);
  /// Holds from the next check of each backend on, which comes no later than the new interval says.
  void configure(const CheckSettings& settings);
  /// The backends to watch, of which the unresolved ones are left alone. Those watched before go on undisturbed, those
  /// missing are let go of at once, and the first checks of new ones are spread over the next second, or interval.
  void setBackends(const std::vector<std::shared_ptr<Backend>>& backends);
  /// True where this backend has been checked, here or where it was inherited from.
  bool checked(const Backend& backend) const;
  /// Takes what Backend::inheritHealth has set for what its checks have found so far. Nothing where it is not checked
  /// at all.
  void resume(const Backend& backend);
  /// True where each backend has had its first check.
  bool allChecked() const;
  /// Cancels all checks and lets go of checker and backends, for good. Also where the loop has stopped.
  void stop();

  /// Checks under way.
  std::size_t running() const noexcept { return running_; }
  /// Connecting has taken the place of a checker that is called no more. Any thread.
  bool standsIn() const noexcept { return stands_in_.load(std::memory_order_relaxed); }
  const Counters& counters() const noexcept { return counters_; }

 private:
  struct Watched;

  // When
  void spread(const std::vector<Watched*>& watched);
  void schedule(Watched& watched, Duration delay);
  void scheduleNext(Watched& watched);
  Duration intervalOf(const Watched& watched) const noexcept;
  Duration fastInterval() const noexcept;
  void rest(Watched& watched);
  Duration jittered(Duration interval);

  // What happens
  void onDue(Watched& watched);
  void onEnded(Watched& watched);
  void onLost(Watched& watched);
  void settle();
  void settleSoon();
  template <class Step>
  void guard(Watched& watched, Step&& step);
  template <class What, class Hear>
  static void tellAll(std::deque<What>& untold, const Hear& hear);

  // What comes of it
  void begin(Watched& watched);
  Duration sinceBegin(const Watched& watched) const noexcept;
  void conclude(Watched& watched, const Errand& errand);
  void judge(Watched& watched, const Errand& errand, bool passed);
  void lookAtChecker();
  void putOff(Watched& watched, const std::string& reason);
  void blameChecker(Watched& watched, const std::string& reason);
  void callUp(Watched& watched);

  /// When something that happens again and again was last logged, and how often it has happened since.
  struct Repeated {
    std::uint64_t logged_ns = 0;
    std::uint64_t unlogged = 0;
    /// Counts once more, at this time; how often to log now, mostly 0.
    std::uint64_t happened(std::uint64_t now) noexcept;
  };

  ControlLoop& loop_;
  const Clock& clock_;
  Checks& checks_;
  const OnFlip on_flip_;
  const OnCheck on_check_;
  std::shared_ptr<const Checker> checker_;
  std::atomic<bool> stands_in_{false};
  CheckSettings settings_;
  std::unordered_map<const Backend*, std::unique_ptr<Watched>> watched_;
  std::deque<Watched*> due_;                   // wait for one of the running checks to end
  std::vector<std::shared_ptr<Errand>> idle_;  // at home, for the next checks
  std::size_t running_ = 0;
  std::deque<std::shared_ptr<Backend>> flipped_;  // and not told yet
  std::deque<Check> checked_;                     // the same
  ControlLoop::TimerId settling_ = 0;
  Repeated put_off_;
  Repeated broken_;
  std::minstd_rand random_;
  Counters counters_;
};

}  // namespace lemonade::health
