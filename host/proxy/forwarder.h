// SPDX-License-Identifier: MIT
//
// Moves the bytes of a session both ways, with back-pressure and half-close. It reads only what it may write: bytes for a
// slow reader wait in one buffer, and nothing more is read for it until they are gone. Worker thread only.
#pragma once

#include "proxy/buffers.h"
#include "proxy/meter.h"
#include "proxy/session.h"

namespace lemonade::proxy {

class Forwarder {
 public:
  enum class Outcome {
    kOpen,          ///< nothing more to do until the next event
    kMore,          ///< bytes are left to move, but others should have their turn
    kDone,          ///< both sides have ended and everything arrived
    kClientReset,   ///< the client broke the connection; everything it sent was forwarded or cannot be
    kBackendReset,  ///< the backend did
    kNoMemory,
  };

  Forwarder(Buffers& buffers, Meter& meter) : buffers_(buffers), meter_(meter), scratch_(buffers.take()) {}

  /// Moves what can be moved now, within a budget. Any outcome but kOpen and kMore ends the session.
  Outcome run(Session& session) noexcept;

  /// Writes what waits for an endpoint; true where nothing waits any more (an endpoint that broke counts as such).
  bool flush(Endpoint& to) noexcept;

 private:
  enum class Flow { kIdle, kMore, kBroken, kNoMemory };
  Flow forward(Session& session, Endpoint& from, Endpoint& to, bool inward) noexcept;
  bool deliver(Endpoint& to, std::size_t size) noexcept;
  static void markBroken(Endpoint& endpoint) noexcept;

  Buffers& buffers_;
  Meter& meter_;
  std::unique_ptr<Buffer> scratch_;
};

}  // namespace lemonade::proxy
