// SPDX-License-Identifier: MIT
//
// The other end of sinks that send datagrams. One thread.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

namespace lemonade::test {

using Strings = std::vector<std::string>;

/// A datagram socket of the test's own, UDP of either kind or a Unix socket.
class Receiver {
 public:
  explicit Receiver(int family, int port = 0) : fd_(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in6 six{};
    six.sin6_family = AF_INET6;
    six.sin6_addr = in6addr_loopback;
    sockaddr_in four{};
    four.sin_family = AF_INET;
    four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    four.sin_port = htons(static_cast<std::uint16_t>(port));
    if (family == AF_INET6)
      bindTo(&six, sizeof(six));
    else
      bindTo(&four, sizeof(four));
    sockaddr_in6 bound{};
    socklen_t size = sizeof(bound);
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&bound), &size);
    port_ = ntohs(bound.sin6_port);  // at the same place in both
  }
  explicit Receiver(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    bindTo(&address, sizeof(address));
  }
  ~Receiver() { ::close(fd_); }
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  int port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  /// The datagrams that are there; those of loopback are, once they are sent.
  Strings datagrams() const {
    Strings all;
    char bytes[65'536];
    for (ssize_t size = 0; (size = ::recv(fd_, bytes, sizeof(bytes), MSG_DONTWAIT)) >= 0;)
      all.emplace_back(bytes, static_cast<std::size_t>(size));
    return all;
  }
  /// Their lines.
  Strings lines() const {
    Strings all;
    for (const auto& datagram : datagrams())
      for (std::size_t at = 0; at <= datagram.size();) {
        const auto end = std::min(datagram.find('\n', at), datagram.size());
        all.push_back(datagram.substr(at, end - at));
        at = end + 1;
      }
    return all;
  }

 private:
  void bindTo(const void* address, socklen_t size) const {
    if (fd_ < 0 || ::bind(fd_, static_cast<const sockaddr*>(address), size) != 0) throw std::runtime_error("no socket");
  }

  const int fd_;
  int port_ = 0;
};

}  // namespace lemonade::test
