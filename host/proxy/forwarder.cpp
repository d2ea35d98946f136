// SPDX-License-Identifier: MIT
#include "proxy/forwarder.h"

#include <sys/socket.h>

#include <cerrno>

namespace lemonade::proxy {

namespace {

/// How often one direction may fill the buffer before others have their turn.
constexpr int kRounds = 4;

bool wouldBlock(int error) noexcept { return error == EAGAIN || error == EWOULDBLOCK; }

bool through(const Endpoint& from, const Endpoint& to) noexcept {
  return from.ended && (to.finished || to.broken) && to.pending == nullptr;
}

}  // namespace

Forwarder::Outcome Forwarder::run(Session& session) noexcept {
  auto& client = session.client;
  auto& backend = session.backend;
  const Flow in = forward(session, client, backend, true);
  Flow out = forward(session, backend, client, false);
  if (in == Flow::kNoMemory || out == Flow::kNoMemory) return Outcome::kNoMemory;
  if (out == Flow::kBroken) return Outcome::kBackendReset;
  if (in == Flow::kBroken) return Outcome::kClientReset;
  // A client that is gone must not wait for a backend that does not read.
  if (client.failed && backend.pending != nullptr) return Outcome::kClientReset;
  // A write to the client that failed shows in what is read from it.
  if (client.broken && forward(session, client, backend, true) == Flow::kBroken) return Outcome::kClientReset;
  if (through(client, backend) && through(backend, client)) return Outcome::kDone;
  return in == Flow::kMore || out == Flow::kMore ? Outcome::kMore : Outcome::kOpen;
}

Forwarder::Flow Forwarder::forward(Session& session, Endpoint& from, Endpoint& to, bool inward) noexcept {
  for (int round = 0; round < kRounds; ++round) {
    // What a backend sent before it broke still goes to the client; the other way round there is nobody to answer.
    if (from.ended && (from.broken || (from.failed && (inward || to.pending == nullptr)))) return Flow::kBroken;
    if (!flush(to)) return Flow::kIdle;
    if (from.ended) {
      if (!to.finished && !to.broken) {
        to.finished = true;
        // Where that ends the session, closing it sends the FIN.
        if (!(to.ended && from.pending == nullptr)) (void)::shutdown(to.fd, SHUT_WR);
      }
      return Flow::kIdle;
    }
    if (!from.readable) return Flow::kIdle;
    if (scratch_ == nullptr && (scratch_ = buffers_.take()) == nullptr) return Flow::kNoMemory;

    const ssize_t n = ::recv(from.fd, scratch_->data.data(), Buffer::kSize, 0);
    if (n > 0) {
      // Edge triggered: less than asked for means drained, unless an end is on its way and has to be read.
      if (static_cast<std::size_t>(n) < Buffer::kSize && !from.hung_up) from.readable = false;
      const auto size = static_cast<std::size_t>(n);
      inward ? meter_.bytesIn(session, size) : meter_.bytesOut(session, size);
      (void)deliver(to, size);
    } else if (n == 0) {
      from.ended = true;
      from.readable = false;
      if (!inward && session.in_exchange && !session.answered && !session.client.ended) session.turned_away = true;
    } else if (wouldBlock(errno)) {
      from.readable = false;
    } else if (errno != EINTR) {
      return Flow::kBroken;
    }
  }
  return Flow::kMore;
}

// Writes the first size bytes of the scratch buffer; what the socket does not take stays in that very buffer, which is
// lent to the endpoint, and the next read gets another one.
bool Forwarder::deliver(Endpoint& to, std::size_t size) noexcept {
  if (to.broken) return true;
  to.pending = std::move(scratch_);
  to.pending_at = 0;
  to.pending_end = static_cast<std::uint32_t>(size);
  const bool done = flush(to);
  if (scratch_ == nullptr) scratch_ = buffers_.take();
  return done;
}

bool Forwarder::flush(Endpoint& to) noexcept {
  while (to.pending != nullptr) {
    if (!to.writable) return false;
    const ssize_t n = ::send(to.fd, to.pending->data.data() + to.pending_at, to.pending_end - to.pending_at, MSG_NOSIGNAL);
    if (n > 0) {
      to.pending_at += static_cast<std::uint32_t>(n);
      if (to.pending_at == to.pending_end) buffers_.give(std::move(to.pending));
    } else if (n < 0 && wouldBlock(errno)) {
      to.writable = false;
    } else if (n == 0 || errno != EINTR) {
      buffers_.give(std::move(to.pending));
      markBroken(to);
    }
  }
  return true;
}

void Forwarder::markBroken(Endpoint& endpoint) noexcept {
  endpoint.broken = true;
  endpoint.readable = endpoint.hung_up = !endpoint.ended;
}

}  // namespace lemonade::proxy
