// SPDX-License-Identifier: MIT
//
// The other end of inherited_descriptors.h: descriptors that a program gets with its execve(2), each with a name.
#pragma once

#include "base/fd.h"

#include <sys/types.h>

#include <string>
#include <vector>

namespace lemonade {

class HandedDescriptors {
 public:
  /// The descriptor stays its owner's, who keeps it open until the program has been executed. No ':' in the name.
  void add(std::string name, int fd);

  /// The environment of this process, with variables that speak of the descriptors, and extra ones ("NAME=value").
  /// To be called before place(), and before a fork.
  void prepare(const std::vector<std::string>& extra);
  /// Puts the descriptors where the program expects them; false with errno where that fails. The next thing to do is to
  /// execute it. Of async-signal-safe calls only: between fork and execve, in the process that will be the program.
  bool place() noexcept;
  /// For execve.
  char* const* environment() noexcept { return pointers_.data(); }

 private:
  std::vector<std::string> names_;
  std::vector<int> fds_;
  std::vector<std::string> variables_;
  std::vector<char*> pointers_;
};

}  // namespace lemonade
