// SPDX-License-Identifier: MIT
//
// A child process whose output is collected while it runs. It dies with the test: the destructor kills it, and the
// kernel does where the test itself is killed. It inherits no descriptor, and no LEMONADE_ or RUST_LOG variable.
#pragma once

#include "base/fd.h"
#include "support/deadline.h"

#include <sys/types.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace lemonade::test {

using Arguments = std::vector<std::string>;
using Environment = std::map<std::string, std::string>;

/// The command line of the lemonade binary under test, behind LEMONADE_TEST_WRAPPER ("valgrind -q") where it is set.
Arguments lemonade(const Arguments& arguments);

/// How a process ended.
struct Outcome {
  int code = 0;  ///< exit code, or 128 plus the signal
  std::string out;
  std::string err;
};

class Process {
 public:
  /// Starts arguments[0], looked up in PATH, with environment on top of the test's own.
  explicit Process(const Arguments& arguments, const Environment& environment = {});
  /// Kills it where it still runs.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  void signal(int number) const;
  /// The exit code, or 128 plus the signal that ended it; nothing where it still runs after that time.
  std::optional<int> wait(Millis within = 10s);

  /// The first line on standard error, from the one at index `from`, that contains text. Throws TimeoutError.
  std::string waitForLog(const std::string& text, Millis within = 10s, std::size_t from = 0);
  /// Lines written to standard error so far; the index of the next one.
  std::size_t logSize();
  /// How many lines on standard error contain text, once at_least do: a log is written a little after what it tells
  /// of. Throws TimeoutError.
  std::size_t countLog(const std::string& text, std::size_t at_least = 0);
  /// What it wrote so far.
  std::string err();
  std::string out();

 private:
  void read();

  pid_t pid_ = -1;
  Fd pidfd_;
  Fd out_;
  Fd err_;
  std::optional<int> code_;
  std::thread reader_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::string out_text_;
  std::string err_text_;
  std::vector<std::string> lines_;
};

/// Runs a program to its end. Throws TimeoutError where it takes longer, and kills it.
Outcome run(const Arguments& arguments, const Environment& environment = {}, Millis within = 30s);

/// True where a program of that name is in PATH.
bool installed(const std::string& program);

}  // namespace lemonade::test
