// SPDX-License-Identifier: MIT
//
// The handlers that break calls of plugins off: of the signals that a fault raises, of the one that the watch sends to
// a thread whose call does not come back, of std::terminate, and of exit() and its like where the program exports them
// (see exits.cpp).
//
// A fault that is nobody's but ours, or that leaves a lock behind, ends the process as it would without these: after
// one line that says so, with the signal's own action, a core dump included.
#pragma once

#include "plugin/fault.h"

namespace lemonade::plugin {

class Containment {
 public:
  /// Installs the handlers, or takes them back; as often as wanted. One thread at a time.
  static void use(bool on);
  /// True while they are installed, on a machine on which they can do something. Any thread.
  static bool isOn() noexcept;

  /// Has the last line of a process that ends be one JSON object. Any thread.
  static void speakJson(bool json) noexcept;

  /// The signal by which the watch has a thread leave its call.
  static int hangSignal() noexcept;

  /// A descriptor that becomes readable when a call was broken off: an eventfd, as long as the process lives. Read it,
  /// then look at the slots.
  static int descriptor();

  /// Breaks the calling thread's call off, where it is in one and may leave it; else returns. detail is copied.
  static void leave(FaultKind kind, const char* detail) noexcept;

  /// Ends the process because a call of a plugin neither comes back nor can be broken off. Any thread.
  [[noreturn]] static void giveUp(const Guard& guard, Function function, const char* thread) noexcept;
};

}  // namespace lemonade::plugin
