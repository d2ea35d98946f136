// SPDX-License-Identifier: MIT
#include "kernel/netfilter_socket.h"

#include "kernel/netfilter_batch.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <optional>

namespace lemonade::kernel {
namespace {

/// The errno that ends an answer, 0 for success; EPROTO where it is too short.
int errorOf(const nlmsghdr& message) noexcept {
  if (mnl_nlmsg_get_payload_len(&message) < sizeof(int)) return EPROTO;
  int error = 0;
  std::memcpy(&error, mnl_nlmsg_get_payload(&message), sizeof(error));
  return error <= 0 ? -error : EPROTO;
}

}  // namespace

Error netfilterError(const std::string& doing, int error, const NetfilterPart& part) {
  const std::string cannot = "cannot " + doing + ": ";
  if (error == EPERM || error == EACCES)
    return {cannot +
            "CAP_NET_ADMIN is missing; run as root, or give the process that capability (systemd: "
            "AmbientCapabilities=CAP_NET_ADMIN)"};
  // So the kernel says that it has no such subsystem.
  if (error == EINVAL || error == EOPNOTSUPP || error == EPROTONOSUPPORT)
    return {cannot + "the kernel has no " + part.module + "; load it (modprobe " + part.module +
            "), or run a kernel with " + part.option};
  return {cannot + std::strerror(error)};
}

Result<NetfilterSocket> NetfilterSocket::open(const NetfilterPart& part) {
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER));
  if (!fd) return netfilterError("open a socket to netfilter", errno, part);
  // Errors come without the request that they are about.
  const int on = 1;
  ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
  sockaddr_nl own{};
  own.nl_family = AF_NETLINK;
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&own), sizeof(own)) != 0)
    return netfilterError("bind a socket to netfilter", errno, part);
  return NetfilterSocket(std::move(fd));
}

void NetfilterSocket::setReceiveBuffer(std::size_t bytes) noexcept {
  const int wanted = static_cast<int>(std::min<std::size_t>(bytes, INT_MAX / 2));
  if (::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &wanted, sizeof(wanted)) != 0)
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &wanted, sizeof(wanted));
}

int NetfilterSocket::join(std::uint32_t groups) noexcept {
  for (unsigned group = 1; group <= 32; ++group) {
    if ((groups >> (group - 1) & 1) == 0) continue;
    if (::setsockopt(fd_.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) != 0) return errno;
  }
  return 0;
}

int NetfilterSocket::send(const nlmsghdr& message) noexcept {
  return send({reinterpret_cast<const std::byte*>(&message), message.nlmsg_len});
}

int NetfilterSocket::send(std::span<const std::byte> messages) noexcept {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  for (;;) {
    const auto sent = ::sendto(fd_.get(), messages.data(), messages.size(), MSG_DONTWAIT,
                               reinterpret_cast<const sockaddr*>(&kernel), sizeof(kernel));
    if (sent >= 0) return 0;
    if (errno != EINTR) return errno;
  }
}

NetfilterSocket::Received NetfilterSocket::receive(std::span<std::byte> buffer) noexcept {
  for (;;) {
    sockaddr_nl from{};
    iovec part{buffer.data(), buffer.size()};
    msghdr header{};
    header.msg_name = &from;
    header.msg_namelen = sizeof(from);
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    const auto size = ::recvmsg(fd_.get(), &header, MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return {{}, errno};
    // Anybody may send to a netlink socket; only the kernel has the number 0.
    if (from.nl_pid != 0) continue;
    if ((header.msg_flags & MSG_TRUNC) != 0) return {{}, ENOBUFS};
    return {buffer.first(static_cast<std::size_t>(size)), 0};
  }
}

int NetfilterSocket::ask(nlmsghdr& request, const Visit& visit) { return converse(request, NLM_F_ACK, visit); }

int NetfilterSocket::dump(nlmsghdr& request, const Visit& visit) { return converse(request, NLM_F_DUMP, visit); }

int NetfilterSocket::converse(nlmsghdr& request, std::uint16_t flags, const Visit& visit) {
  request.nlmsg_flags |= NLM_F_REQUEST | flags;
  request.nlmsg_seq = ++sequence_;
  if (const int error = send(request)) return error;
  Buffer<kDumpSize> buffer;
  std::optional<int> outcome;
  while (!outcome) {
    const auto received = receive(buffer);
    if (received.error != 0) return received.error;
    forEachMessage(received.bytes, [&](const nlmsghdr& message) {
      if (message.nlmsg_seq != request.nlmsg_seq) return true;  // left over from an earlier request
      const bool is_last = message.nlmsg_type == NLMSG_ERROR || message.nlmsg_type == NLMSG_DONE;
      if (is_last) outcome = errorOf(message);
      if (!is_last && visit) visit(message);
      return !is_last;
    });
  }
  return *outcome;
}

int NetfilterSocket::get(std::span<std::byte> requests, const Visit& visit) {
  const std::uint32_t before = sequence_;
  int left = static_cast<int>(requests.size());
  for (auto* one = reinterpret_cast<nlmsghdr*>(requests.data()); mnl_nlmsg_ok(one, left);
       one = mnl_nlmsg_next(one, &left)) {
    one->nlmsg_flags |= NLM_F_REQUEST;
    one->nlmsg_seq = ++sequence_;
  }
  const std::uint32_t asked = sequence_ - before;
  if (const int error = asked != 0 ? send(requests) : 0) return error;
  NetfilterBatch batch;
  for (std::uint32_t answered = 0; answered < asked;) {
    if (const int error = batch.receive(*this)) return error;
    batch.each([&](const nlmsghdr& message) {
      if (message.nlmsg_seq - before - 1 >= asked) return;  // left over from an earlier request
      ++answered;
      if (message.nlmsg_type != NLMSG_ERROR) visit(message);
    });
  }
  return 0;
}

}  // namespace lemonade::kernel
