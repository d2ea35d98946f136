// SPDX-License-Identifier: MIT
#pragma once

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace lemonade {

/// In a child: it is killed when the thread that waits for it ends, and ends by itself with this code where that
/// process, its parent, has ended already.
inline void endWith(pid_t parent, int code) noexcept {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(code);
}

}  // namespace lemonade
