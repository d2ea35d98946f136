// SPDX-License-Identifier: MIT
//
// A thread whose calls of plugins can be broken off. Made on the stack of the thread that is meant, before it calls a
// plugin, and destroyed there when it calls none any more.
#pragma once

#include "plugin/guard_slot.h"

#include <functional>
#include <memory>
#include <string>

namespace lemonade::plugin {

class GuardedThread {
 public:
  /// The stack that such a thread is to be given, in bytes: that of a thread of the system's usual size, whatever the
  /// limits of the process say, so that a plugin that works in one place does in another.
  static constexpr int kStackSize = 8 << 20;

  /// name is what the log and the status call the thread: "worker-3", "control", "sink prometheus". Where there is no
  /// memory for an alternate stack the thread is watched, and a fault of a plugin ends the process.
  explicit GuardedThread(std::string name);
  ~GuardedThread();
  GuardedThread(const GuardedThread&) = delete;
  GuardedThread& operator=(const GuardedThread&) = delete;

  /// The same for the calling thread, until it ends. Nothing where it is guarded already.
  static void guardThisOne(const std::string& name);

  /// Visits the slot of each such thread that there is, which lives on at least for that time. Any thread.
  static void forEach(const std::function<void(GuardSlot&)>& visit);
  /// Visits what threads that have ended left of calls that were broken off, and forgets it. Any thread.
  static void takeLeft(const std::function<void(const Fault&, const std::string& thread)>& visit);

 private:
  void useAlternateStack() noexcept;

  std::unique_ptr<GuardSlot> slot_;
  void* alternate_ = nullptr;  // mapped, its guard page included
  stack_t before_{};           // the alternate stack that the thread had
};

}  // namespace lemonade::plugin
