// SPDX-License-Identifier: MIT
#include "proxy/ends.h"

#include <sys/socket.h>

#include <cerrno>

namespace lemonade::proxy {

namespace {

/// The stream ended, and its end was passed on or has nobody to go to.
bool isThrough(const Endpoint& from, const Endpoint& to) noexcept {
  return from.ended && (to.finished || to.broken) && !to.isOwed();
}

}  // namespace

Ending endingOf(const Session& session) noexcept {
  const Endpoint& client = session.client;
  const Endpoint& backend = session.backend;
  if (backend.reset) return Ending::kBackendReset;
  if (client.reset) return Ending::kClientReset;
  if (isThrough(client, backend) && isThrough(backend, client)) return Ending::kDone;
  return isGone(client) || isGone(backend) ? Ending::kGone : Ending::kOpen;
}

void noteEnd(Session& session, Endpoint& from) noexcept {
  if (from.lost) {
    from.reset = true;
    return;
  }
  from.ended = true;
  // A client that had finished has said goodbye: a backend that closes then does what it was asked to.
  if (&from == &session.backend && session.in_exchange && !session.answered && !session.client.ended)
    session.turned_away = true;
}

// Linux reports EPIPE for a socket whose FIN had come before the reset, and for one that has no error to report: in
// both cases reading tells the truth.
void noteWriteFailed(Endpoint& to, int error) noexcept {
  to.broken = true;
  if (error != EPIPE) to.lost = true;
}

void passEnd(const Endpoint& from, Endpoint& to) noexcept {
  if (!from.ended || to.isOwed() || to.finished || to.broken) return;
  if (to.ended && !from.isOwed()) {
    to.finished = true;
  } else {
    finish(to);
  }
}

void finish(Endpoint& to) noexcept {
  if (to.finished || to.broken || to.fd < 0) return;
  to.finished = true;
  (void)::shutdown(to.fd, SHUT_WR);
}

}  // namespace lemonade::proxy
