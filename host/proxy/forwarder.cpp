// SPDX-License-Identifier: MIT
#include "proxy/forwarder.h"

#include "proxy/ends.h"

#include <sys/socket.h>

#include <cerrno>

namespace lemonade::proxy {

namespace {

/// How often one direction may fill the buffer before others have their turn.
constexpr int kRounds = 4;

bool wouldBlock(int error) noexcept { return error == EAGAIN || error == EWOULDBLOCK; }

}  // namespace

Forwarder::Outcome Forwarder::run(Session& session) noexcept {
  auto& client = session.client;
  auto& backend = session.backend;
  Flow in = forward(session, client, backend);
  const Flow out = forward(session, backend, client);
  // Reading from the client says why a write to the client failed.
  if (client.broken && client.readable) in = forward(session, client, backend);
  if (in == Flow::kNoMemory || out == Flow::kNoMemory) return Outcome::kNoMemory;
  return in == Flow::kMore || out == Flow::kMore ? Outcome::kMore : Outcome::kWait;
}

Forwarder::Flow Forwarder::forward(Session& session, Endpoint& from, Endpoint& to) noexcept {
  for (int round = 0; round < kRounds; ++round) {
    if (!flush(to)) return Flow::kIdle;
    passEnd(from, to);
    if (!from.readable) return Flow::kIdle;
    if (scratch_ == nullptr && (scratch_ = buffers_.take()) == nullptr) return Flow::kNoMemory;

    const ssize_t n = ::recv(from.fd, scratch_->data.data(), Buffer::kSize, 0);
    if (n > 0) {
      // Edge triggered: less than asked for means drained, unless an end is on its way and has to be read.
      if (static_cast<std::size_t>(n) < Buffer::kSize && !from.hung_up) from.readable = false;
      take(session, from, to, static_cast<std::size_t>(n));
    } else if (n == 0) {
      from.readable = false;
      noteEnd(session, from);
    } else if (wouldBlock(errno)) {
      from.readable = false;
    } else if (errno == ENOMEM || errno == ENOBUFS) {
      return Flow::kNoMemory;
    } else if (errno != EINTR) {
      from.readable = false;
      from.reset = true;
    }
  }
  return Flow::kMore;
}

// Counts the first size bytes of the scratch buffer and writes them; what the socket does not take stays in that very
// buffer, which is lent to the endpoint, and the next read gets another one.
void Forwarder::take(Session& session, Endpoint& from, Endpoint& to, std::size_t size) noexcept {
  const bool inward = &from == &session.client;
  inward ? meter_.bytesIn(session, size) : meter_.bytesOut(session, size);
  if (to.broken) {
    to.dropped += size;
    return;
  }
  to.pending = std::move(scratch_);
  to.pending_at = 0;
  to.pending_end = static_cast<std::uint32_t>(size);
  (void)flush(to);
  if (scratch_ == nullptr) scratch_ = buffers_.take();
}

void Forwarder::drop(Endpoint& from) noexcept {
  for (int round = 0; round < kRounds && from.readable && scratch_ != nullptr; ++round)
    from.readable = ::recv(from.fd, scratch_->data.data(), Buffer::kSize, 0) > 0;
}

bool Forwarder::flush(Endpoint& to) noexcept {
  while (to.pending != nullptr) {
    if (!to.writable) return false;
    const ssize_t n =
        ::send(to.fd, to.pending->data.data() + to.pending_at, to.pending_end - to.pending_at, MSG_NOSIGNAL);
    if (n > 0) {
      to.pending_at += static_cast<std::uint32_t>(n);
      if (to.pending_at == to.pending_end) buffers_.give(std::move(to.pending));
    } else if (n < 0 && wouldBlock(errno)) {
      to.writable = false;
    } else if (n == 0 || errno != EINTR) {
      noteWriteFailed(to, n == 0 ? EPIPE : errno);
      to.dropped += to.pending_end - to.pending_at;
      to.readable = to.hung_up = !to.ended;
      buffers_.give(std::move(to.pending));
    }
  }
  return true;
}

}  // namespace lemonade::proxy
