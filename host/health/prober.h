// SPDX-License-Identifier: MIT
//
// Carries checks out, away from the control thread: a mailbox in, the probes under way, a mailbox out. Data flows one
// way: control sends errands off and takes them back; the thread of checks reads nothing else of control's.
//
// A checker that takes its time holds up all other checks here, and these must not fail for it: while they are held up
// their timeouts do not run.
//
// Sending an errand off may fail for want of memory; what follows does not. Errands are let go of on the control thread
// only, and with them instances of checkers.
#pragma once

#include "base/clock.h"
#include "base/fd.h"
#include "health/errand.h"

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>

namespace lemonade::health {

class Prober {
 public:
  using Errands = std::unordered_map<const Errand*, std::shared_ptr<Errand>>;

  /// The clock must outlive it. Throws std::system_error without descriptors.
  explicit Prober(const Clock& clock);
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;

  // ---- control thread ----

  /// Sends off an errand that is at home. Throws std::bad_alloc, and it is still at home.
  void begin(const std::shared_ptr<Errand>& errand);
  /// An errand that may be on its way was cancelled, or has another timeout.
  void lookAgain() noexcept;
  /// Readable while errands are back.
  int fd() const noexcept { return returned_fd_.get(); }
  /// Takes those home that are back, and tells their owners, who may send them off again and cancel others.
  void takeReturned();
  /// Those that are on their way.
  const Errands& underWay() const noexcept { return under_way_; }
  /// Has another prober end what the thread of this one has left under way, which is over. Throws std::bad_alloc, and
  /// can be called again.
  void handOver(Prober& other);
  /// Ends that here.
  void endHere() noexcept;

  /// What the other thread is in: a step of a check by this checker, since then; since 0: in none.
  struct Step {
    std::uint64_t since_ns = 0;
    const Checker* checker = nullptr;
  };
  Step step() const noexcept;
  /// Has turn() end all checks and return false.
  void stop() noexcept;
  /// Has turn() return false as soon as the thread is back from a checker, and leave the errands as they are.
  void abandon() noexcept;
  /// Waits for over(), so long at most; true where that was called.
  bool awaitEnd(Duration at_most);

  // ---- the thread of checks ----

  /// Does what there is to do; waits: sleeps until there is something. False: all is done for good.
  bool turn(bool waits);
  /// That thread touches nothing of this from now on.
  void over();

 private:
  /// First in, first out; the errands themselves are the links.
  struct Mailbox {
    Errand* first = nullptr;
    Errand* last = nullptr;

    /// True where it was empty.
    bool put(Errand& errand) noexcept;
    Errand* takeAll() noexcept;
  };

  // Control thread
  void call() noexcept;

  // The thread of checks
  void takeSent();
  void start(Errand& errand);
  template <class Act>
  void carryOn(Errand& errand, Act&& act);
  void giveUp(Errand& errand);
  std::uint64_t dueOf(const Errand& errand) const noexcept;
  int patience() const noexcept;
  void handleDue();
  void handleChanges();
  void end(Errand& errand, Probe::Outcome outcome) noexcept;

  const Clock& clock_;
  const Fd epoll_;
  const Fd sent_fd_;      // in epoll_: control wants something
  const Fd returned_fd_;  // readable while errands are back

  // Control thread only.
  Errands under_way_;

  // The thread of checks only.
  std::set<std::pair<std::uint64_t, Errand*>> due_;  // every check under way, by when it has to end
  std::uint64_t stalled_ns_ = 0;                     // how long checkers have held this thread up so far
  std::array<char, 16 * 1024> buffer_;

  // Any thread.
  std::atomic<std::uint64_t> step_since_ns_{0};
  std::atomic<const Checker*> step_checker_{nullptr};
  std::atomic<bool> changed_{false};  // an errand that may be on its way was cancelled, or has another timeout
  std::atomic<bool> stopping_{false};
  std::atomic<bool> abandoned_{false};

  std::mutex mutex_;  // guards what follows
  std::condition_variable ended_;
  bool over_ = false;
  Mailbox sent_;
  Mailbox returned_;
};

}  // namespace lemonade::health
