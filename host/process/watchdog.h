// SPDX-License-Identifier: MIT
//
// Ends the process in time, whatever hangs. Two threads:
//
//   watchdog   reads the signals and counts the time of a stop, and runs nothing else: no lock, no log, no code of a
//              plugin can hold it up
//   signals    says what came, passes a stop, a reload or a SIGUSR1 on, and has the last words; where it hangs as
//              well, the watchdog ends the process without them
//
// A first SIGTERM, SIGINT or SIGQUIT is passed on to whoever serves, which has the bound of a stop from then on. A
// second one leaves it a moment. Where nobody serves yet, the first one ends the process.
#pragma once

#include "base/clock.h"

#include <functional>

namespace lemonade {

class Watchdog {
 public:
  struct Plan {
    int early_code;                  ///< what a stop ends the process with before serve()
    Duration bound;                  ///< how long a stop takes at most; see setBound()
    bool reloads;                    ///< SIGHUP and SIGUSR1 are passed on; otherwise the first stops
    std::function<void()> farewell;  ///< the last thing done where the process is ended by force; it may hang
  };
  /// Called on the thread of signals; what may hang belongs elsewhere.
  using OnSignal = std::function<void(int signal)>;

  /// Takes the signals over and starts the threads. Once in a process, before any other thread; throws
  /// std::system_error. It is never destroyed: it guards the very end of the process, too.
  static Watchdog& start(Plan plan);

  /// From now on signals are passed on, also a SIGHUP or SIGUSR1 that came before.
  void serve(OnSignal on_signal);
  /// How long a stop that begins later takes at most. Any thread.
  void setBound(Duration bound) noexcept;
  /// What an end by force says it waited for: a literal. Any thread.
  void waitingFor(const char* what) noexcept;
  /// The process is about to end by itself, with this code and within the bound. No signal is passed on after this.
  void end(int code);
  /// The same, and nothing is to be said any more: what would say it is being destroyed.
  int leave(int code);

  /// What a stop should plan with to be over before it is ended by force: a little less than its bound.
  static Duration planned(Duration bound) noexcept;

  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  struct Impl;
  explicit Watchdog(Impl& impl) : impl_(impl) {}
  Impl& impl_;
};

}  // namespace lemonade
