// SPDX-License-Identifier: MIT
#include "socket.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <stdexcept>
#include <system_error>
#include <utility>

Socket::Socket(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  const int failed = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (failed != 0) throw std::runtime_error(host + ": " + ::gai_strerror(failed));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, &::freeaddrinfo);
  for (const auto* one = found; one != nullptr && fd_ < 0; one = one->ai_next) {
    fd_ = ::socket(one->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd_ >= 0 && ::connect(fd_, one->ai_addr, one->ai_addrlen) != 0) ::close(std::exchange(fd_, -1));
  }
  if (fd_ < 0) throw std::runtime_error("no way to " + host + ": " + std::generic_category().message(errno));
}

Socket::~Socket() { ::close(fd_); }

void Socket::send(std::string_view datagram) const {
  if (::send(fd_, datagram.data(), datagram.size(), 0) < 0)
    throw std::runtime_error("not sent: " + std::generic_category().message(errno));
}
