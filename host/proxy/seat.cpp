// SPDX-License-Identifier: MIT
#include "proxy/seat.h"

#include <sys/eventfd.h>

namespace lemonade::proxy {

Seat::Seat() : wake_fd(ownedFd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")) {}

void Seat::wake() noexcept { (void)::eventfd_write(wake_fd.get(), 1); }

}  // namespace lemonade::proxy
