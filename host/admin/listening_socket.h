// SPDX-License-Identifier: MIT
//
// A socket at which the admin server listens: of TCP, or a Unix socket with its file. Opened aside and then given to
// the server, so that a reload that cannot have its address leaves what is there as it was.
//
// Immutable; any thread. The last one to let go of it closes it and removes its file.
#pragma once

#include "balance/address.h"
#include "balance/unix_name.h"
#include "base/fd.h"
#include "base/inherited_descriptors.h"
#include "base/result.h"

#include <memory>
#include <string>
#include <utility>

namespace lemonade::admin {

class ListeningSocket {
 public:
  using Shared = std::shared_ptr<const ListeningSocket>;

  /// Binds and listens, or takes over a socket that was inherited for this address: under the name "admin", whose port
  /// may then be 0, or of a Unix socket under any. access is for the file of a Unix socket. The error names the address
  /// and the mend.
  static Result<Shared> open(const Address& address, const UnixAccess& access, InheritedDescriptors& inherited);

  int fd() const noexcept { return fd_.get(); }
  /// The address asked for, whose port may be 0.
  const Address& requested() const noexcept { return requested_; }
  bool isUnix() const noexcept { return requested_.isUnix(); }
  /// Where it really listens: "127.0.0.1:9090", "unix:/run/lemonade/admin.sock".
  const std::string& text() const noexcept { return text_; }
  /// The name under which it is handed on: "unix" for a socket whose file is ours.
  const char* handedAs() const noexcept { return name_.empty() ? "admin" : "unix"; }
  /// Gives the file of a Unix socket its owner and mode.
  Status allow(const UnixAccess& access) const;
  /// Leaves the file to whoever listens there from now on. Control thread.
  void leaveName() const noexcept { name_.leave(); }

 private:
  ListeningSocket(Fd fd, UnixName name, const Address& requested, std::string text)
      : fd_(std::move(fd)), requested_(requested), text_(std::move(text)), name_(std::move(name)) {}
  static Result<Shared> made(Fd fd, UnixName name, const Address& address);

  Fd fd_;
  Address requested_;
  std::string text_;
  mutable UnixName name_;  // goes first: while the socket listens nobody else makes such a file
};

}  // namespace lemonade::admin
