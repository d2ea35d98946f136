// SPDX-License-Identifier: MIT
//
// Signals as events: blocked in every thread and read from a descriptor, so no code of ours runs in a handler.
#pragma once

#include "base/fd.h"

#include <optional>
#include <string>

namespace lemonade {

/// What a signal that was read asks for.
enum class Meaning {
  kStop,     ///< SIGTERM, SIGINT, SIGQUIT
  kReload,   ///< SIGHUP
  kReopen,   ///< SIGUSR1: files that were moved are to be opened anew
  kNothing,  ///< those that nobody means for us, and whose default would be a silent end: SIGUSR2, SIGALRM ...
};

Meaning meaningOf(int signal) noexcept;

/// "SIGTERM", "SIGRTMIN+2".
std::string nameOf(int signal);

class Signals {
 public:
  /// Blocks every signal that has a meaning, and ignores SIGPIPE, SIGIO and SIGXFSZ. A signal without a use here that
  /// somebody handles already, such as a profiler, stays theirs. Before the first thread is started; throws
  /// std::system_error.
  Signals();

  /// Readable when a signal has come.
  int fd() const noexcept { return fd_.get(); }
  /// The next signal that has come; nothing where none has. Never waits.
  std::optional<int> next() noexcept;

 private:
  Fd fd_;
};

}  // namespace lemonade
