// SPDX-License-Identifier: MIT
//
// What the service manager (systemd) is told: that the balancer is ready, how it is, that it reloads or stops and,
// where the unit has WatchdogSec, that it moves. Nothing happens, and no thread is started, where there is no
// $NOTIFY_SOCKET.
//
// A service manager that does not read holds up nobody: a thread of its own, "service", tells it, asks how the balancer
// is every few seconds, and looks whether what has to move does. As long as something stands still the watchdog is not
// fed, so that the service manager ends the process once WatchdogSec is over; the log says what stands still.
#pragma once

#include "base/clock.h"

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace lemonade {

class ServiceManager {
 public:
  /// A thread that does not move, and since when, monotonic nanoseconds.
  struct StillThread {
    std::string thread;
    std::uint64_t since_ns;
  };
  /// What is asked of the one that serves, on the thread of this; must not block.
  struct Questions {
    std::function<std::string()> state;                                   // one line for `systemctl status`
    std::function<std::vector<StillThread>(std::uint64_t now_ns)> still;  // which of its threads do not move
  };

  /// Reads $NOTIFY_SOCKET and $WATCHDOG_USEC. kept is what it keeps for this start: sockets by name, with their inodes.
  /// Once in a process.
  explicit ServiceManager(std::map<std::string, ino_t> kept);
  /// Tells what is left to tell, for a moment at most.
  ~ServiceManager();
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  // Any thread, none of them blocks.

  /// False where no service manager wants to be told anything.
  bool isThere() const noexcept { return impl_ != nullptr; }
  /// The start lasts up to so much longer.
  void starting(Duration at_most);
  /// Clients are served. From now on the questions are asked.
  void ready(Questions questions);
  /// The state has changed, tell it before long.
  void changed();
  /// A reload begins; before ready() and after stopping() this says nothing, as reloaded().
  void reloading();
  /// A reload is over; result is one line.
  void reloaded(const std::string& result);
  /// The stop begins, and is over or cut short after that time.
  void stopping(Duration at_most);
  /// Has it keep these listening sockets, each with what it is for ("proxy"), for the next start of the service, in the
  /// place of those that it kept before. They stay the caller's.
  void keep(const std::vector<std::pair<std::string, int>>& listeners);
  /// Another process serves in the place of this one, and speaks from now on: this one is silent.
  void yieldToSuccessor();

  /// Asks nothing any more; waits for a question under way. From here on the watchdog of the process itself bounds how
  /// long it takes, and the service manager's is fed.
  void stopAsking();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  // null where there is no service manager; shared with the thread
};

}  // namespace lemonade
