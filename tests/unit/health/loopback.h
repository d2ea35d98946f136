// SPDX-License-Identifier: MIT
//
// Backends on loopback that behave as a test needs them to.
#pragma once

#include "balance/backend.h"
#include "base/fd.h"

#include <poll.h>
#include <sys/socket.h>

#include <memory>
#include <stdexcept>
#include <string>

namespace lemonade::test {

/// A port of loopback. Listening, the kernel accepts what connects even before accept(); otherwise it refuses.
class Port {
 public:
  enum class Kind { kListening, kRefusing };

  explicit Port(Kind kind, const std::string& host = "127.0.0.1") {
    const auto address = *Address::parse(host, 0);
    fd_ = Fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd_ || ::bind(fd_.get(), address.get(), address.size()) != 0) throw std::runtime_error("bind " + host);
    if (kind == Kind::kListening) listen();
  }

  /// Listens there, where another one did before.
  explicit Port(const Address& address) : fd_(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const int yes = 1;
    if (!fd_ || ::setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0 ||
        ::bind(fd_.get(), address.get(), address.size()) != 0)
      throw std::runtime_error("bind " + address.text());
    listen();
  }

  void listen() {
    if (::listen(fd_.get(), 512) != 0) throw std::runtime_error("listen");
  }
  Address address() const {
    sockaddr_storage storage{};
    socklen_t size = sizeof(storage);
    ::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&storage), &size);
    return Address(reinterpret_cast<sockaddr*>(&storage), size);
  }
  /// The next connection; none where none comes within five seconds.
  Fd accept() const {
    pollfd ready{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    return ::poll(&ready, 1, 5'000) == 1 ? Fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC)) : Fd();
  }
  std::shared_ptr<Backend> backend(const std::string& id = "web-1", bool enabled = true) const {
    config::Backend settings{
        .id = id, .name = "name of " + id, .host = "web.example", .port = address().port(), .enabled = enabled};
    return std::make_shared<Backend>(std::move(settings), address(), 1);
  }

 private:
  Fd fd_;
};

/// Makes the close of a connection a reset.
inline void resetOnClose(const Fd& fd) {
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

}  // namespace lemonade::test
