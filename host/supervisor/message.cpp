// SPDX-License-Identifier: MIT
#include "supervisor/message.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace lemonade::supervisor {

namespace {

constexpr std::size_t kMostText = 8'192;
using Control = std::array<char, CMSG_SPACE(kMostDescriptors * sizeof(int))>;

void takeDescriptors(msghdr& header, std::vector<Fd>& descriptors) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      descriptors.emplace_back(fd);
    }
  }
}

}  // namespace

std::pair<Fd, Fd> makeChannel() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
    throw std::system_error(errno, std::generic_category(), "socketpair");
  return {Fd(ends[0]), Fd(ends[1])};
}

bool send(int channel, std::string_view what, std::string_view about, std::span<const int> descriptors) noexcept {
  std::array<iovec, 3> parts{{{const_cast<char*>(what.data()), what.size()},
                              {const_cast<char*>("\n"), 1},
                              {const_cast<char*>(about.data()), std::min(about.size(), kMostText / 2)}}};
  msghdr header{};
  header.msg_iov = parts.data();
  header.msg_iovlen = parts.size();
  alignas(cmsghdr) Control control;
  if (const std::size_t size = descriptors.size_bytes(); size != 0) {
    if (descriptors.size() > kMostDescriptors) return false;
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(size);
    cmsghdr* const rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(size);
    std::memcpy(CMSG_DATA(rights), descriptors.data(), size);
  }
  return ::sendmsg(channel, &header, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

Received receive(int channel, Message& message) {
  std::array<char, kMostText> text;
  iovec part{text.data(), text.size()};
  alignas(cmsghdr) Control control;
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  const ssize_t size = ::recvmsg(channel, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return Received::kNothing;
  if (size <= 0) return Received::kEnd;
  message = {};
  takeDescriptors(header, message.descriptors);
  const std::string_view all(text.data(), static_cast<std::size_t>(size));
  const std::size_t line = std::min(all.find('\n'), all.size());
  message.what = all.substr(0, line);
  message.about = all.substr(std::min(line + 1, all.size()));
  return Received::kMessage;
}

}  // namespace lemonade::supervisor
