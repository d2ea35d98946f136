// SPDX-License-Identifier: MIT
//
// Moves the bytes of a session both ways, with back-pressure and half-close. It reads only what it may write: bytes for
// a slow reader wait in one buffer, and nothing more is read for it until they are gone. Worker thread only.
#pragma once

#include "proxy/buffers.h"
#include "proxy/meter.h"
#include "proxy/session.h"

namespace lemonade::proxy {

class Forwarder {
 public:
  enum class Outcome {
    kWait,  ///< nothing more to do until the next event; ends.h has what the session's ends come to
    kMore,  ///< bytes are left to move, but other sessions should have their turn
    kNoMemory,
  };

  Forwarder(Buffers& buffers, Meter& meter) : buffers_(buffers), meter_(meter), scratch_(buffers.take()) {}

  /// Moves what can be moved now, within a budget.
  Outcome run(Session& session) noexcept;

  /// Writes what waits for an endpoint; true where nothing waits any more (an endpoint that broke counts as such).
  bool flush(Endpoint& to) noexcept;
  /// Reads what the endpoint sends and drops it.
  void drop(Endpoint& from) noexcept;

 private:
  enum class Flow { kIdle, kMore, kNoMemory };
  Flow forward(Session& session, Endpoint& from, Endpoint& to) noexcept;
  void take(Session& session, Endpoint& from, Endpoint& to, std::size_t size) noexcept;

  Buffers& buffers_;
  Meter& meter_;
  std::unique_ptr<Buffer> scratch_;
};

}  // namespace lemonade::proxy
