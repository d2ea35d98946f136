// SPDX-License-Identifier: MIT
//
// What the kernel knows of a TCP or Unix socket, what is asked of it, and how it is to be closed.
#pragma once

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace lemonade::proxy {

/// The error that is pending at a socket, which is taken from it; 0 where there is none.
inline int socketError(int fd) noexcept {
  int error = 0;
  socklen_t size = sizeof(error);
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

/// What errno says where a socket has nothing to read or no room to write at the moment.
inline bool wouldBlock(int error) noexcept { return error == EAGAIN || error == EWOULDBLOCK; }

/// True for a Unix socket. Such a socket knows no reset, acknowledges nothing, and hangs up where TCP only sends a FIN.
inline bool isUnix(int fd) noexcept {
  int family = 0;
  socklen_t size = sizeof(family);
  return ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) == 0 && family == AF_UNIX;
}

/// Bytes that were written and that the peer has not acknowledged, a FIN among them; 0 where that cannot be told. Of a
/// Unix socket what the peer has not read, with what the kernel spends on it.
inline std::size_t unacknowledged(int fd) noexcept {
  int waiting = 0;
  return ::ioctl(fd, SIOCOUTQ, &waiting) == 0 && waiting > 0 ? static_cast<std::size_t>(waiting) : 0;
}

/// The kernel has an error to report: the peer reset the connection or was given up.
inline bool hasFailed(int fd) noexcept {
  pollfd state{fd, 0, 0};
  return ::poll(&state, 1, 0) == 1 && (state.revents & POLLERR) != 0;
}

/// What poll() says of a client that no backend has yet: it broke the connection, so that nobody waits for an answer.
/// The peer of a Unix socket that hangs up may have sent a request before.
inline bool hasBroken(int fd, std::uint32_t events) noexcept {
  return (events & POLLERR) != 0 || ((events & POLLHUP) != 0 && !isUnix(fd));
}

/// The peer has not acknowledged what it was sent for so long, in milliseconds; never of a Unix socket. A peer that
/// answers but has no room, as one that reads nothing, does not count: it acknowledges each probe of the kernel.
inline bool isSilent(int fd, std::uint32_t for_ms) noexcept {
  constexpr std::uint32_t kUnansweredProbes = 2;  // one may be under way
  tcp_info info{};
  socklen_t size = sizeof(info);
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return false;
  return info.tcpi_last_ack_recv >= for_ms && (info.tcpi_unacked != 0 || info.tcpi_probes >= kUnansweredProbes);
}

/// An option that the kernel refuses stays as it was.
inline void setOption(int fd, int level, int name, int value) noexcept {
  (void)::setsockopt(fd, level, name, &value, sizeof(value));
}

/// Closing it will send a reset; of a Unix socket it ends the stream as ever.
inline void resetOnClose(int fd) noexcept {
  const linger now{1, 0};
  (void)::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

}  // namespace lemonade::proxy
