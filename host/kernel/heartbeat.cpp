// SPDX-License-Identifier: MIT
#include "kernel/heartbeat.h"

#include "balance/address.h"
#include "base/fd.h"
#include "kernel/marks.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace lemonade::kernel {

namespace {

constexpr std::uint16_t kDiscard = 9;  // where nobody listens, should one ever arrive

Error failed(const std::string& what, int error) { return Error{"heartbeat: " + what + ": " + std::strerror(error)}; }

}  // namespace

Status sendHeartbeat(std::uint16_t tag, int family) {
  const Fd socket(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return failed("no socket", errno);
  const std::uint32_t mark = heartbeatMark(tag);
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) != 0)
    return failed("no mark of packets, which takes CAP_NET_ADMIN", errno);
  const auto loopback = Address::parse(family == AF_INET ? "127.0.0.1" : "::1", kDiscard);
  if (::sendto(socket.get(), nullptr, 0, MSG_NOSIGNAL, loopback->get(), loopback->size()) == 0)
    return Error{"heartbeat: no table takes it; something has removed our rules"};
  // The rule that takes it drops it, and the kernel says so.
  if (errno == EPERM) return success();
  return failed("cannot send to " + loopback->text() + " (ip link set lo up)", errno);
}

}  // namespace lemonade::kernel
