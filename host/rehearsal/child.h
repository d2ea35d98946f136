// SPDX-License-Identifier: MIT
//
// A child process of this program in which something is tried that may crash or hang: with descriptors of its own, and
// killed at the latest when the one who waits for it goes. Any thread.
#pragma once

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"

#include <sys/types.h>

#include <cstddef>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace lemonade::trial {

/// A file in memory that can be read only, from its start.
Result<Fd> inMemory(const char* name, const void* data, std::size_t size);

/// An empty file in memory, for a child to write to.
Result<Fd> emptyInMemory(const char* name);
/// What was written to such a file, from its start.
std::string contentOf(const Fd& file);

struct Pipe {
  Fd read;
  Fd write;
};

/// A pipe whose ends never wait: what does not fit is lost, so that nobody has to read while the child runs.
Result<Pipe> makePipe();

/// A child process, killed and reaped at the latest when this ends.
class Child {
 public:
  /// Runs this program with these arguments. descriptors become 0, 1, 2 ... of the child, which inherits no other.
  static Result<Child> spawn(const std::vector<std::string>& arguments, std::initializer_list<int> descriptors);
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  ~Child() {
    if (pid_ > 0) (void)end();
  }

  /// False where it still runs after that time.
  bool wait(Duration limit) const;
  /// Whether a signal has stopped it, as SIGSTOP does.
  bool stopped() const;
  /// Kills what still runs of it and its children; how it ended, as waitpid has it.
  int end();

 private:
  explicit Child(pid_t pid) : pid_(pid) {}
  pid_t pid_;
};

/// Whether a process ended by a signal that others send, such as SIGKILL, and no code raises by mistake.
bool wasKilled(int status);
/// How a process ended that waitpid tells of: "crashed with SIGSEGV".
std::string endOf(int status);

}  // namespace lemonade::trial
