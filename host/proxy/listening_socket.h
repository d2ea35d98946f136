// SPDX-License-Identifier: MIT
//
// A listening socket, of TCP or Unix. What it is given here, accepted sockets inherit: TCP_NODELAY and keep-alive cost
// nothing per connection. SO_REUSEPORT is never left on: a second process on the same port must fail, not share.
#pragma once

#include "balance/address.h"
#include "balance/unix_name.h"
#include "base/fd.h"
#include "base/inherited_descriptors.h"
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
  /// 127.0.0.1:80 of 0.0.0.0:80 and the other way round. access is for the file of a Unix socket, which is removed with
  /// the last use of this. The error names the address and, where there is one, the mend.
  static Result<std::shared_ptr<const ListeningSocket>> open(const Address& address, std::uint32_t backlog,
                                                             const Keepalive& keepalive, const Sockets& going = {},
                                                             const UnixAccess& access = {});
  /// What a socket that we opened is called when it is handed over: "unix" for one whose file we remove, else "proxy".
  const char* handedAs() const noexcept { return name_.empty() ? "proxy" : "unix"; }
  /// Takes over a socket that is bound there already, by inheritance, as it is; null where there is none. The file of a
  /// Unix socket that somebody else opened for us is not removed.
  static Result<std::shared_ptr<const ListeningSocket>> inherit(InheritedDescriptors& inherited,
                                                                const Address& address);

  /// Listens; changes what later accepts inherit and how many clients may wait.
  void tune(std::uint32_t backlog, const Keepalive& keepalive) const noexcept;
  /// From now on who connects is refused, and the address stays ours alone, until tune() is called. Clients that nobody
  /// has accepted are reset.
  void refuse() const noexcept;
  /// Whether clients can connect. Another process that has the same socket may have changed it.
  bool listens() const noexcept;
  /// How many clients have connected and wait to be accepted; 0 of a Unix socket.
  std::uint32_t waiting() const noexcept;
  /// Gives the file of a Unix socket its owner and mode; nothing for TCP. The error names the address.
  Status allow(const UnixAccess& access) const;
  /// Another process listens at this socket from now on, or will: the file of a Unix socket stays.
  void leaveName() const noexcept { name_.leave(); }

  int fd() const noexcept { return fd_.get(); }
  /// The address asked for, whose port may be 0.
  const Address& requested() const noexcept { return requested_; }
  /// The address really bound.
  const Address& address() const noexcept { return address_; }

 private:
  static Result<std::shared_ptr<const ListeningSocket>> made(Fd fd, UnixName name, const Address& address);
  ListeningSocket(Fd fd, UnixName name, const Address& requested, const Address& address)
      : fd_(std::move(fd)), requested_(requested), address_(address), name_(std::move(name)) {}

  Fd fd_;
  Address requested_;
  Address address_;
  mutable UnixName name_;  // goes first: while the socket listens nobody else makes such a file
};

}  // namespace lemonade::proxy
