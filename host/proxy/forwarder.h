// SPDX-License-Identifier: MIT
//
// Moves the bytes of a session over epoll both ways, with back-pressure and half-close. It reads only what it may
// write: bytes for a slow reader wait in one buffer, and nothing more is read for that reader until they are gone.
// Worker thread only.
#pragma once

#include "proxy/buffers.h"
#include "proxy/epoll_session.h"
#include "proxy/meter.h"

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
  Outcome run(EpollSession& session) noexcept;

  /// Writes what waits for an endpoint; true where nothing waits any more (an endpoint that broke counts as such).
  bool flush(EpollSession& session, Side to) noexcept { return flush(both(session, to)); }
  /// Reads what the endpoint sends and drops it.
  void drop(EpollSession& session, Side from) noexcept;
  /// Takes back the buffer that waits for an endpoint, if any.
  void forget(EpollSession& session, Side to) noexcept { giveBack(both(session, to)); }

 private:
  enum class Flow { kIdle, kMore, kNoMemory };
  /// An endpoint with what the relay knows of it.
  struct Both {
    Endpoint& endpoint;
    EpollEnd& end;
  };

  static Both both(EpollSession& session, Side side) noexcept { return {session.endpoint(side), session.end(side)}; }
  bool flush(Both to) noexcept;
  void lend(Both to, std::size_t size) noexcept;
  void giveBack(Both to) noexcept;
  Flow forward(EpollSession& session, Side side) noexcept;
  void take(EpollSession& session, Side from, Both to, std::size_t size) noexcept;

  Buffers& buffers_;
  Meter& meter_;
  std::unique_ptr<Buffer> scratch_;
};

}  // namespace lemonade::proxy
