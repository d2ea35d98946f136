// SPDX-License-Identifier: MIT
//
// Signals as events: blocked in every thread and read from a descriptor, so no code of ours runs in a handler.
#pragma once

#include "base/fd.h"

#include <initializer_list>
#include <optional>

namespace lemonade::app {

class Signals {
 public:
  /// Blocks the signals, and ignores SIGPIPE and SIGIO. Before the first thread is started.
  explicit Signals(std::initializer_list<int> signals);

  /// Readable when a signal has come.
  int fd() const noexcept { return fd_.get(); }
  /// The next signal that has come; nothing where none has.
  std::optional<int> next();
  /// Waits for the next signal.
  int wait();

 private:
  Fd fd_;
};

}  // namespace lemonade::app
