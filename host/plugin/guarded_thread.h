// SPDX-License-Identifier: MIT
//
// A thread whose calls of plugins can be broken off. Made on the stack of the thread that is meant, before it calls a
// plugin, and destroyed there when it calls none any more.
#pragma once

#include <string>

namespace lemonade::plugin {

class GuardedThread {
 public:
  /// name is what the log and the status call the thread: "worker 3", "control", "sink prometheus".
  explicit GuardedThread(std::string name) : name_(std::move(name)) {}
  GuardedThread(const GuardedThread&) = delete;
  GuardedThread& operator=(const GuardedThread&) = delete;

 private:
  const std::string name_;
};

}  // namespace lemonade::plugin
