// SPDX-License-Identifier: MIT
#include "proxy/mailbox.h"

#include <sys/eventfd.h>

namespace lemonade::proxy {

Mailbox::Mailbox() : wake_fd(ownedFd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")) {}

void Mailbox::wake() noexcept { (void)::eventfd_write(wake_fd.get(), 1); }

}  // namespace lemonade::proxy
