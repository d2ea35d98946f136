// SPDX-License-Identifier: MIT
//
// The thread that health checks run on, as the control thread sees it: errands go out and come back. Nothing here waits
// for a checker, but stop(), so long as it is told.
//
// A checker whose call is not broken off, and that does not come back, is left behind with the thread that it holds up,
// and another thread does the checks from then on. Should it come back after all, its thread ends.
//
// Control thread only.
#pragma once

#include "base/clock.h"
#include "base/control_loop.h"
#include "health/errand.h"
#include "health/prober.h"

#include <functional>
#include <memory>
#include <vector>

namespace lemonade::health {

class Checks {
 public:
  /// Has a thread call turn(true) of a prober until that is over, then over().
  using Start = std::function<void(const std::shared_ptr<Prober>&)>;
  /// A thread of its own. Throws std::system_error.
  static void startThread(const std::shared_ptr<Prober>& prober);

  /// loop, whose clock tells the time, must outlive it. There is no thread before the first check.
  explicit Checks(ControlLoop& loop, Start start = startThread);
  /// After stop().
  ~Checks();
  Checks(const Checks&) = delete;
  Checks& operator=(const Checks&) = delete;

  /// How long a call of a checker may hold the thread up before both are left behind: longer than it takes to break one
  /// off. 0: as long as it wants.
  void setPatience(Duration patience) noexcept { patience_ = patience; }
  /// Sends off an errand that is at home. Throws std::bad_alloc, std::system_error.
  void begin(const std::shared_ptr<Errand>& errand);
  /// Another timeout, for an errand that may be on its way.
  void limit(Errand& errand, Duration timeout) noexcept;
  /// Its owner hears of it no more, and its check is ended without an outcome.
  void cancel(Errand& errand) noexcept;
  /// Looks whether the thread is held up; to be called every now and then. True where a checker was left behind, whose
  /// guard says that it is broken now.
  bool look();
  /// Threads that are left behind, each with its checker.
  std::size_t leftBehind() const noexcept { return left_.size(); }
  /// Ends all checks and lets go of what they hold, for good; waits so long for a checker. Returns false where one
  /// hangs: its thread is left behind, which the log says, and the process must end with _exit.
  bool stop(Duration at_most);

 private:
  void use(std::shared_ptr<Prober> prober);
  void leaveBehind(const Prober::Step& step);
  void lookAtThoseLeft();

  ControlLoop& loop_;
  const Start start_;
  Duration patience_ = std::chrono::seconds(3);
  std::shared_ptr<Prober> prober_;             // null: none yet
  std::vector<std::shared_ptr<Prober>> left_;  // behind, with their threads
  bool stopped_ = false;
};

}  // namespace lemonade::health
