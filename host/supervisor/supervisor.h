// SPDX-License-Identifier: MIT
//
// A small process that runs the balancer as its child, holds the listening sockets for it and passes them on: to the
// one that it starts where the balancer has died, and to the one that follows it at an upgrade. It loads no plugin,
// reads no configuration and touches no client's bytes. Of plugins it knows what a balancer that died was inside, and
// which of them the next one is not to run.
//
//   SIGTERM, SIGINT, SIGQUIT   passed on: the balancer drains and ends. A second one goes to every process that is left
//   SIGABRT                    passed on to every process: all end at once
//   SIGHUP                     passed on
//   SIGUSR1                    passed on to every process: all open their log files anew
//   SIGUSR2                    an upgrade; queued with kRollBack (sigqueue(3)): back to the program before the last one
#pragma once

#include "base/fd.h"
#include "supervisor/child.h"
#include "supervisor/deaths.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lemonade::supervisor {

constexpr int kRollBack = 1;

/// What the supervisor exits with where balancers kept dying.
constexpr int kKeptDying = 3;

class Supervisor {
 public:
  /// held: listening sockets that are there already. kept: what every child gets besides. Throws std::system_error.
  Supervisor(Program program, Sockets held, Sockets kept);

  /// Until the balancer has ended and shall not be started again; returns how it has, as wait(2) says it.
  int run();

 private:
  void wait();
  void handleSignal(int signal, int value);
  void stop(int signal);
  void reopen();
  void abort();
  void upgrade(bool back);
  void failUpgrade(const std::string& why);
  void hear(Child& child);
  void promote();
  void reap();
  void handleEnd(const Child& child, int status);
  void giveUp(int status);
  void quarantine(const std::vector<Quarantined>& blamed, pid_t pid);
  void restart(const std::string& how, const Child& dead, bool died);
  void startAgain();
  Result<std::unique_ptr<Child>> start(Program program, Sockets held, Sockets kept) const;
  std::vector<Child*> all() const;
  void pass(const Child* child, int signal) const;

  const std::string path_;
  Sockets held_;
  const Sockets kept_;
  Fd signals_;
  std::unique_ptr<Child> current_;  // null while it is about to be started again
  std::unique_ptr<Child> next_;     // of an upgrade that is under way
  std::vector<std::unique_ptr<Child>> draining_;
  Deaths deaths_;
  std::vector<Quarantined> quarantine_;  // what no balancer is to run
  Sockets earlier_;                      // contents of plugins that may run in their place; no sockets
  Program program_;                      // to start again
  std::optional<Program> before_;        // the last upgrade
  std::uint64_t upgrade_until_ns_ = 0;
  std::uint64_t start_at_ns_ = 0;  // 0: nothing is to be started
  std::uint64_t pause_ns_ = 0;     // before the next start, after one that could not start
  bool was_ready_ = false;         // any of them
  bool stopping_ = false;
  bool next_missed_reopen_ = false;
  std::optional<int> status_;  // how the last one ended; then run() ends
};

/// Ends this process by the signal that ended a child, so that whoever started it sees the same; otherwise returns the
/// child's exit code.
int endLike(int status);

}  // namespace lemonade::supervisor
