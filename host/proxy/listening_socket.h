// SPDX-License-Identifier: MIT
//
// A listening socket. What it is given here, accepted sockets inherit: TCP_NODELAY and keep-alive cost nothing per
// connection. SO_REUSEPORT is never left on: a second process on the same port must fail, not share.
#pragma once

#include "balance/address.h"
#include "base/fd.h"
#include "base/result.h"
#include "proxy/keepalive.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace lemonade::proxy {

class ListeningSocket {
 public:
  using Sockets = std::vector<std::shared_ptr<const ListeningSocket>>;

  /// Binds and listens, non-blocking. Port 0 gets a free one. Those that are about to go may be in the way:
  /// 127.0.0.1:80 of 0.0.0.0:80 and the other way round. The error names the address and, where there is one, the mend.
  static Result<std::shared_ptr<const ListeningSocket>> open(const Address& address, std::uint32_t backlog,
                                                             const Keepalive& keepalive, const Sockets& going = {});
  /// Takes over a socket that listens already, non-blocking, for the address asked for.
  static Result<std::shared_ptr<const ListeningSocket>> adopt(Fd socket, const Address& address, std::uint32_t backlog,
                                                              const Keepalive& keepalive);

  /// Changes what later accepts inherit and how many clients may wait.
  void tune(std::uint32_t backlog, const Keepalive& keepalive) const noexcept;

  int fd() const noexcept { return fd_.get(); }
  /// The address asked for, whose port may be 0.
  const Address& requested() const noexcept { return requested_; }
  /// The address really bound.
  const Address& address() const noexcept { return address_; }

 private:
  static Result<std::shared_ptr<const ListeningSocket>> made(Fd fd, const Address& address, std::uint32_t backlog,
                                                             const Keepalive& keepalive);
  ListeningSocket(Fd fd, const Address& requested, const Address& address)
      : fd_(std::move(fd)), requested_(requested), address_(address) {}

  Fd fd_;
  Address requested_;
  Address address_;
};

}  // namespace lemonade::proxy
