// SPDX-License-Identifier: MIT
//
// Holds the sessions and their sockets, and moves the bytes between client and backend. Worker thread only.
//
// A session goes take() -> Dialer::connect() -> start() -> (deliver()) -> close() of both endpoints -> forget() ->
// free().
#pragma once

#include "base/fd.h"
#include "proxy/session.h"

#include <cstddef>

namespace lemonade::proxy {

class Transport {
 public:
  virtual ~Transport() = default;

  /// Makes a session for a client that was accepted, and looks after its socket from now on. Null where memory is out:
  /// the client is closed then.
  virtual Session* take(Fd client) noexcept = 0;
  /// Relays, now that the backend is connected. The session is in kRelaying.
  virtual void start(Session& session) noexcept = 0;
  /// Goes on with a session that has come to kDelivering, of which one endpoint is closed: writes what waits for the
  /// other endpoint, and tells the owner of what happens there, but not of each acknowledgement.
  virtual void deliver(Session& session) noexcept = 0;
  /// How many bytes wait in this process to be written to the endpoint of the session.
  virtual std::size_t pending(const Session& session, Side side) const noexcept = 0;
  /// Closes the socket of an endpoint, if it is open: with a FIN after what was written, or with a reset. Bytes that
  /// wait to be written to it are lost.
  virtual void close(Session& session, Side side, bool reset) noexcept = 0;
  /// Lets go of a session in kClosed. False where the kernel still refers to it, or a later event of the turn may be
  /// about it: the caller asks again after the next EventLoop::wait().
  virtual bool forget(Session& session) noexcept = 0;
  /// Frees a session that forget() has let go of.
  virtual void free(Session& session) noexcept = 0;
};

}  // namespace lemonade::proxy
