// SPDX-License-Identifier: MIT
#include "proxy/forwarder.h"

#include "proxy/ends.h"
#include "proxy/socket_state.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace lemonade::proxy {

namespace {

/// How often one direction may fill the buffer before others have their turn.
constexpr int kRounds = 4;

}  // namespace

Forwarder::Outcome Forwarder::run(EpollSession& session) noexcept {
  Flow in = forward(session, Side::kClient);
  const Flow out = forward(session, Side::kBackend);
  // Reading from the client says why a write to the client failed.
  if (session.client.broken && session.client_end.readable) in = forward(session, Side::kClient);
  if (in == Flow::kNoMemory || out == Flow::kNoMemory) return Outcome::kNoMemory;
  return in == Flow::kMore || out == Flow::kMore ? Outcome::kMore : Outcome::kWait;
}

Forwarder::Flow Forwarder::forward(EpollSession& session, Side side) noexcept {
  const Both from = both(session, side);
  const Both to = both(session, other(side));
  for (int round = 0; round < kRounds; ++round) {
    if (!flush(to)) return Flow::kIdle;
    passEnd(from.endpoint, to.endpoint);
    if (!from.end.readable) return Flow::kIdle;
    if (scratch_ == nullptr && (scratch_ = buffers_.take()) == nullptr) return Flow::kNoMemory;

    const ssize_t n = ::recv(from.endpoint.fd, scratch_->data.data(), Buffer::kSize, 0);
    if (n > 0) {
      // Edge triggered: less than asked for means drained, unless an end is on its way and has to be read.
      if (static_cast<std::size_t>(n) < Buffer::kSize && !from.end.hung_up) from.end.readable = false;
      take(session, side, to, static_cast<std::size_t>(n));
    } else if (n == 0) {
      from.end.readable = false;
      noteEnd(session, from.endpoint);
    } else if (wouldBlock(errno)) {
      from.end.readable = false;
    } else if (errno == ENOMEM || errno == ENOBUFS) {
      return Flow::kNoMemory;
    } else if (errno != EINTR) {
      from.end.readable = false;
      from.endpoint.reset = true;
    }
  }
  return Flow::kMore;
}

// Counts the first size bytes of the scratch buffer and writes them; what the socket does not take stays in that very
// buffer, which is lent to the endpoint, and the next read gets another one.
void Forwarder::take(EpollSession& session, Side from, Both to, std::size_t size) noexcept {
  from == Side::kClient ? meter_.bytesIn(session, size) : meter_.bytesOut(session, size);
  if (to.endpoint.broken) {
    to.endpoint.dropped += size;
    return;
  }
  lend(to, size);
  (void)flush(to);
  if (scratch_ == nullptr) scratch_ = buffers_.take();
}

void Forwarder::lend(Both to, std::size_t size) noexcept {
  to.end.pending = std::move(scratch_);
  to.end.pending_at = 0;
  to.end.pending_end = static_cast<std::uint32_t>(size);
  to.endpoint.owed = 1;
}

void Forwarder::giveBack(Both to) noexcept {
  buffers_.give(std::move(to.end.pending));
  to.endpoint.owed = 0;
}

void Forwarder::drop(EpollSession& session, Side side) noexcept {
  const Both from = both(session, side);
  for (int round = 0; round < kRounds && from.end.readable && scratch_ != nullptr; ++round)
    from.end.readable = ::recv(from.endpoint.fd, scratch_->data.data(), Buffer::kSize, 0) > 0;
}

bool Forwarder::flush(Both to) noexcept {
  EpollEnd& end = to.end;
  while (end.pending != nullptr) {
    if (!end.writable) return false;
    const ssize_t n = ::send(to.endpoint.fd, end.pending->data.data() + end.pending_at,
                             end.pending_end - end.pending_at, MSG_NOSIGNAL);
    if (n > 0) {
      end.pending_at += static_cast<std::uint32_t>(n);
      if (end.pending_at == end.pending_end) giveBack(to);
    } else if (n < 0 && wouldBlock(errno)) {
      end.writable = false;
    } else if (n == 0 || errno != EINTR) {
      noteWriteFailed(to.endpoint, n == 0 ? EPIPE : errno);
      to.endpoint.dropped += end.pending_end - end.pending_at;
      end.readable = end.hung_up = !to.endpoint.ended;
      giveBack(to);
    }
  }
  return true;
}

}  // namespace lemonade::proxy
