// SPDX-License-Identifier: MIT
//
// The control thread: one Poco SocketReactor that runs timers, posted tasks and watched descriptors. Everything that
// changes the balancer (health, reload, plugin life cycle, stop) happens here, so none of it needs a lock.
//
// A task that throws is logged and survived. An idle loop sleeps until its next timer: it does not tick.
#pragma once

#include "base/clock.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace lemonade {

class ControlLoop {
 public:
  using Task = std::function<void()>;
  using TimerId = std::uint64_t;

  /// name is what the thread is called. Timers go by the clock, which must outlive the loop. Where a test moves it, the
  /// timers that have become due run after the next posted task.
  explicit ControlLoop(const std::string& name = "control", const Clock& clock = Clock::steady());
  /// Stops and joins the thread, if it still runs.
  ~ControlLoop();
  ControlLoop(const ControlLoop&) = delete;
  ControlLoop& operator=(const ControlLoop&) = delete;

  /// Starts the thread.
  void start();
  /// Ends the thread after the task it is in; tasks and timers that have not run yet are dropped. Not from the control
  /// thread.
  void stop();

  /// Runs task soon on the control thread, in the order of posting. Any thread.
  void post(Task task);
  /// Runs task on the control thread and returns when it is done; at once where the caller is the control thread.
  /// False where the loop has stopped and the task did not run. Any thread.
  bool run(Task task);

  /// Runs task once after delay, or every interval of at least a millisecond. A delay of a second or more may take 1 %
  /// longer, so that thousands of timers (health checks) end in few wake-ups. Control thread, or before start().
  TimerId after(Duration delay, Task task);
  TimerId every(Duration interval, Task task);
  /// Ends a timer; unknown ids and 0 are ignored. Also from within its own task. Control thread.
  void cancel(TimerId timer);

  /// Calls readable whenever fd is readable (level triggered), until unwatch(fd), which comes before closing fd and is
  /// allowed from within the call. The descriptor stays the caller's. An epoll descriptor is a good one to watch.
  /// Control thread, or before start().
  void watch(int fd, Task readable);
  void unwatch(int fd);

  /// What the timers go by. Any thread.
  const Clock& clock() const noexcept;

  /// True on the control thread.
  bool isCurrent() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lemonade
