// SPDX-License-Identifier: MIT
//
// Connects the backend's socket of a session. Worker thread only.
#pragma once

#include "balance/address.h"
#include "proxy/session.h"

namespace lemonade::proxy {

class Dialer {
 public:
  enum class Connect {
    kConnecting,  ///< the relay's owner is told of the outcome
    kConnected,
    kFailed,  ///< with errno
  };

  virtual ~Dialer() = default;

  /// Sets an option of a socket before it connects. Where the kernel refuses, the option stays as it was.
  virtual void setOption(int fd, int level, int name, int value) noexcept = 0;
  /// Connects session.backend, a new socket, to the address, which must live as long as the session has its target.
  virtual Connect connect(Session& session, const Address& address) noexcept = 0;
  /// Closes session.backend, whose connect failed or took too long. What the client has sent is kept for the next one.
  virtual void dropBackend(Session& session) noexcept = 0;
};

}  // namespace lemonade::proxy
