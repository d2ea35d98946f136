// SPDX-License-Identifier: MIT
//
// What the kernel knows of a TCP socket, what is asked of it, and how it is to be closed.
#pragma once

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>

namespace lemonade::proxy {

/// The error that is pending at a socket, which is taken from it; 0 where there is none.
inline int socketError(int fd) noexcept {
  int error = 0;
  socklen_t size = sizeof(error);
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

/// Nothing that was written still waits in the kernel for the peer.
inline bool allSent(int fd) noexcept {
  int waiting = 0;
  return ::ioctl(fd, SIOCOUTQ, &waiting) != 0 || waiting == 0;
}

/// An option that the kernel refuses stays as it was.
inline void setOption(int fd, int level, int name, int value) noexcept {
  (void)::setsockopt(fd, level, name, &value, sizeof(value));
}

/// Closing it will send a reset.
inline void resetOnClose(int fd) noexcept {
  const linger now{1, 0};
  (void)::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

}  // namespace lemonade::proxy
