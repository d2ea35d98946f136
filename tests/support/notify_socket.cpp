// SPDX-License-Identifier: MIT
#include "support/notify_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace lemonade::test {

NotifySocket::NotifySocket() : fd_(ownedFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path().copy(address.sun_path, sizeof(address.sun_path) - 1);
  if (::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    throw std::system_error(errno, std::generic_category(), "bind");
}

std::string NotifySocket::next(Millis within) {
  const Deadline deadline(within);
  pollfd entry{fd_.get(), POLLIN, 0};
  if (::poll(&entry, 1, deadline.remainingMillis()) <= 0) return "";
  char text[4096];
  alignas(cmsghdr) char control[CMSG_SPACE(64 * sizeof(int))];
  iovec part{text, sizeof(text)};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const auto size = ::recvmsg(fd_.get(), &message, MSG_CMSG_CLOEXEC);
  if (size < 0) throw std::system_error(errno, std::generic_category(), "recvmsg");
  descriptors_.clear();
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t i = 0; i < (header->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      descriptors_.emplace_back(fd);
    }
  }
  messages_.emplace_back(text, static_cast<std::size_t>(size));
  return messages_.back();
}

std::string NotifySocket::waitFor(const std::string& text, Millis within) {
  const Deadline deadline(within);
  while (!deadline.over())
    if (std::string message = next(Millis(100)); message.find(text) != std::string::npos) return message;
  std::string all;
  for (const auto& message : messages_) all += message + "\n--\n";
  throw TimeoutError("no message contains " + text + "; there were\n" + all);
}

std::size_t NotifySocket::count(const std::string& text) const {
  return static_cast<std::size_t>(std::count_if(messages_.begin(), messages_.end(), [&](const auto& message) {
    return message.find(text) != std::string::npos;
  }));
}

}  // namespace lemonade::test
