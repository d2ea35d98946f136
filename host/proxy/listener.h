// SPDX-License-Identifier: MIT
//
// A listening socket. What it is given here, accepted sockets inherit: TCP_NODELAY and keep-alive cost nothing per
// connection. It is never opened with SO_REUSEPORT: a second process on the same port must fail, not share.
#pragma once

#include "balance/address.h"
#include "base/fd.h"
#include "base/result.h"

#include <cstdint>
#include <memory>
#include <string>

namespace lemonade::proxy {

class Listener {
 public:
  /// Binds and listens, non-blocking. Port 0 gets a free one. The error names the address and, where there is one, the
  /// mend.
  static Result<std::shared_ptr<const Listener>> open(const Address& address, std::uint32_t backlog,
                                                      std::uint32_t keepalive_seconds);

  /// Changes what later accepts inherit and how many clients may wait.
  void tune(std::uint32_t backlog, std::uint32_t keepalive_seconds) const noexcept;

  int fd() const noexcept { return fd_.get(); }
  /// The address asked for, whose port may be 0.
  const Address& requested() const noexcept { return requested_; }
  /// The address really bound.
  const Address& address() const noexcept { return address_; }

 private:
  Listener(Fd fd, const Address& requested, const Address& address)
      : fd_(std::move(fd)), requested_(requested), address_(address) {}

  Fd fd_;
  Address requested_;
  Address address_;
};

}  // namespace lemonade::proxy
