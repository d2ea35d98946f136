// SPDX-License-Identifier: MIT
//
// How the two streams of a session end: the rules of FIN, reset and failure, for both relays. A relay notes here what
// the kernel tells it, and reads here what that comes to. Worker thread only.
//
// 1. Only reading tells whether a stream is complete. recv() gives every byte that came, and then 0 where a FIN came
// behind
//    them, also where a reset followed that FIN. A stream whose end was read is complete, whatever its socket does
//    later.
// 2. recv() gives an error where a reset, or a peer that was given up, cut the stream short. A write that fails may
// take
//    that error from the socket, and recv() then gives 0: Endpoint::lost remembers it.
// 3. An endpoint that ended and then failed is gone: nothing can be written to it, and what it sent is still delivered.
#pragma once

#include "proxy/session.h"

namespace lemonade::proxy {

/// What the ends of a session come to, as far as they are known.
enum class Ending {
  kOpen,          ///< bytes may still move
  kDone,          ///< both streams ended, and all bytes were written
  kGone,          ///< one side is gone after its end was read; the other gets what is still under way, then a FIN
  kClientReset,   ///< the client broke its stream, and all bytes that came before were taken
  kBackendReset,  ///< the backend did
};

/// What the ends of the session come to.
Ending endingOf(const Session& session) noexcept;

/// The endpoint ended, and the kernel or a failed write said later that nothing can reach it any more.
inline bool isGone(const Endpoint& endpoint) noexcept { return endpoint.ended && (endpoint.broken || endpoint.failed); }

/// The session goes on although its backend ended, or an endpoint failed.
inline bool isEnding(const Session& session) noexcept {
  return session.backend.ended || session.client.failed || session.backend.failed;
}

/// recv() gave 0 at this endpoint of the session.
void noteEnd(Session& session, Endpoint& from) noexcept;

/// A write to the endpoint failed with this errno: bytes for it are dropped from now on.
void noteWriteFailed(Endpoint& to, int error) noexcept;

/// Passes the end of `from` on to `to`, once nothing waits to be written there. Where that ends the session, the close
/// of `to` sends the FIN and this only notes it.
void passEnd(const Endpoint& from, Endpoint& to) noexcept;

/// Sends a FIN, unless that was done or cannot be done.
void finish(Endpoint& to) noexcept;

}  // namespace lemonade::proxy
