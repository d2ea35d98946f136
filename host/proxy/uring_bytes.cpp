// SPDX-License-Identifier: MIT
//
// How the relay over io_uring moves bytes: what it asks the kernel to receive and to send, and what it does with what
// came of that.
#include "proxy/uring_relay.h"

#include "proxy/ends.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>
#include <vector>

namespace lemonade::proxy {

namespace {

/// So many buffers may wait for an endpoint: one is being sent while the next is filled.
constexpr std::uint8_t kMostOwed = 2;

/// A socket that is written to for the first time in a while takes so much; a longer send may well be cut short.
constexpr std::uint32_t kSureToFit = 16 * 1024;

}  // namespace

// ---- receiving ----

void UringRelay::receive(UringSession& session, Side side) noexcept {
  UringEnd& from = session.end(side);
  auto& request = ask(session, side, Request::kReceive, IORING_OP_RECV, session.endpoint(side).fd);
  const bool owed = session.endpoint(other(side)).isOwed();
  request.len = from.asked = RingBuffers::kSize - (owed ? buffers_.size(session.end(other(side)).last) : 0);
  request.flags = IOSQE_BUFFER_SELECT;
  request.buf_group = RingBuffers::kGroup;
  // After all that was asked for there is likely to be more; else the kernel need not look in vain.
  if (!from.eager) request.ioprio = IORING_RECVSEND_POLL_FIRST;
  from.receiving = true;
}

// While a buffer waits for the other endpoint, one more may be filled only where the first is sure to be sent at once,
// or is small enough to take in the second where it stalls.
bool UringRelay::mayReceive(const UringSession& session, Side side) const noexcept {
  const std::uint8_t owed = session.endpoint(other(side)).owed;
  return owed == 0 || (owed < kMostOwed && buffers_.size(session.end(other(side)).last) <= kSureToFit);
}

// Receives from an endpoint, unless it is at it, may not, or enough waits for the other.
void UringRelay::want(UringSession& session, Side side) noexcept {
  const Endpoint& from = session.endpoint(side);
  if (from.fd < 0 || session.end(side).receiving || from.ended || from.reset) return;
  if (session.state == Session::State::kDelivering && side == Side::kClient) return;
  if (side == Side::kBackend && session.state < Session::State::kRelaying) return;
  if (mayReceive(session, side))
    receive(session, side);
  else
    watch(session, side);  // whether it breaks meanwhile
}

void UringRelay::handleReceived(UringSession& session, Side side, const Completion& completion) noexcept {
  UringEnd& from = session.end(side);
  from.receiving = false;
  ++events_;
  if (completion.result > 0) return handleBytes(session, side, completion);
  giveBack(completion);
  if (completion.result == 0) {
    if (session.state == Session::State::kParted) return owner().handleParted(session, false);
    noteEnd(session, session.endpoint(side));
    watch(session, side);
    return settleLater(session);
  }
  if (completion.result == -ENOBUFS) {
    from.receiving = from.starved = true;
    if (session.starved_hook.is_linked()) return;
    ++session.in_kernel;
    starved_.push_back(session);
  } else if (completion.result == -EINTR || completion.result == -EAGAIN || completion.result == -ECANCELED) {
    from.eager = false;
    want(session, side);
  } else if (completion.result == -ENOMEM && session.state == Session::State::kRelaying) {
    owner().handleNoMemory(session);
  } else {
    handleReceiveFailed(session, side);
  }
}

void UringRelay::handleBytes(UringSession& session, Side side, const Completion& completion) noexcept {
  const auto size = static_cast<std::uint32_t>(completion.result);
  const auto id = static_cast<RingBuffers::Id>(completion.flags >> IORING_CQE_BUFFER_SHIFT);
  Endpoint& to = session.endpoint(other(side));
  buffers_.take(id, size);
  session.end(side).eager = size == session.end(side).asked;
  if (session.state == Session::State::kParted) {
    buffers_.give(id);
    return owner().handleParted(session, true);
  }
  if (session.state == Session::State::kDelivering) {
    buffers_.give(id);
    return want(session, side);  // what a backend sends to a client that is gone is dropped, so that it reads on
  }
  if (side == Side::kBackend) meter_.bytesOut(session, size);
  if (to.broken) {
    to.dropped += size;
    buffers_.give(id);
  } else {
    append(session, other(side), id);
  }
  if (session.state == Session::State::kRelaying) {
    send(session, other(side));
    owner().handleActivity(session);
  }
  want(session, side);
}

// Behind what waits for the endpoint. A send that waits has the kernel read the first bytes of its buffer only.
void UringRelay::append(UringSession& session, Side side, RingBuffers::Id id) noexcept {
  UringEnd& to = session.end(side);
  std::uint8_t& owed = session.endpoint(side).owed;
  if (owed != 0 && to.stalled) {
    if (side == Side::kBackend) meter_.bytesIn(session, buffers_.size(id));
    buffers_.append(to.last, id);
    return buffers_.give(id);
  }
  (owed++ == 0 ? to.first : buffers_.next(to.last)) = id;
  to.last = id;
}

void UringRelay::handleReceiveFailed(UringSession& session, Side side) noexcept {
  Endpoint& from = session.endpoint(side);
  from.failed = from.reset = true;
  if (session.state == Session::State::kDelivering) return owner().handleDelivery(session);
  if (session.state == Session::State::kParted) return owner().handleParted(session, false);
  if (session.state != Session::State::kRelaying) return owner().handleAbandoned(session);
  settleLater(session);
}

// Each gets a buffer of its own: those that were just served have asked again before it, and may take all others. Where
// there is no memory for any, they wait for what others give back, or for a moment.
void UringRelay::feedStarved() noexcept {
  const auto isStarved = [](const UringSession& session, Side side) {
    const UringEnd& from = session.end(side);
    return from.receiving && session.endpoint(side).fd >= 0 && from.starved;
  };
  unsigned wanted = 0;
  starved_.remove_and_dispose_if(
      [&](const UringSession& session) {
        return !isStarved(session, Side::kClient) && !isStarved(session, Side::kBackend);
      },
      [](UringSession* session) { --session->in_kernel; });
  for (const UringSession& session : starved_)
    wanted += (isStarved(session, Side::kClient) ? 1U : 0U) + (isStarved(session, Side::kBackend) ? 1U : 0U);
  if (wanted == 0) return;
  if (!buffers_.offer(wanted)) return ring_->lookAgainSoon();
  while (!starved_.empty()) {
    UringSession& session = starved_.front();
    starved_.pop_front();
    --session.in_kernel;
    for (const Side side : {Side::kClient, Side::kBackend}) {
      if (!isStarved(session, side)) continue;
      session.end(side).receiving = session.end(side).starved = false;
      want(session, side);
    }
  }
}

// ---- sending ----

// Sends what is owed to an endpoint, one buffer at a time.
void UringRelay::send(UringSession& session, Side side) noexcept {
  const UringEnd& to = session.end(side);
  if (to.sending || !session.endpoint(side).isOwed()) return;
  if (side == Side::kBackend) meter_.bytesIn(session, buffers_.size(to.first));
  submitSend(session, side, true);
}

// Whether there is nothing to do when this send is done: what waits for that must wake the worker.
bool UringRelay::leavesNothing(const UringSession& session, Side side) const noexcept {
  const UringEnd& to = session.end(side);
  return session.state == Session::State::kRelaying && session.endpoint(side).owed == 1 &&
         !session.endpoint(other(side)).ended && buffers_.size(to.first) - to.sent <= kSureToFit;
}

// At once: what the socket takes now, without waiting for it to take more.
void UringRelay::submitSend(UringSession& session, Side side, bool at_once) noexcept {
  UringEnd& to = session.end(side);
  auto& request = ask(session, side, Request::kSend, IORING_OP_SEND, session.endpoint(side).fd);
  request.addr = reinterpret_cast<std::uintptr_t>(buffers_.data(to.first) + to.sent);
  request.len = buffers_.size(to.first) - to.sent;
  request.msg_flags = MSG_NOSIGNAL | (at_once ? MSG_DONTWAIT : MSG_WAITALL);
  if (at_once && leavesNothing(session, side)) ring_->expectAtOnce();
  to.sending = true;
  to.stalled = !at_once;
  if (!to.stalled || session.endpoint(side).owed < kMostOwed) return;
  // The second was received while the first had room for it.
  const auto second = buffers_.next(to.first);
  if (side == Side::kBackend) meter_.bytesIn(session, buffers_.size(second));
  buffers_.append(to.first, second);
  buffers_.give(second);
  to.last = to.first;
  session.endpoint(side).owed = 1;
}

void UringRelay::handleSent(UringSession& session, Side side, int result) noexcept {
  UringEnd& to = session.end(side);
  const bool stalled = std::exchange(to.stalled, false);
  to.sending = false;
  if (result == -EAGAIN || result == -EINTR) return submitSend(session, side, false);
  if (result < 0) return handleSendFailed(session, side, -result);
  const bool relaying = session.state == Session::State::kRelaying;
  if (relaying) owner().handleActivity(session);
  to.sent += static_cast<std::uint32_t>(result);
  // A send that waited took all that there was when it began.
  if (to.sent < buffers_.size(to.first)) return submitSend(session, side, stalled);
  popOwed(session, side);
  if (!relaying) {
    if (session.endpoint(side).isOwed()) submitSend(session, side, true);
    return owner().handleDelivery(session);
  }
  send(session, side);
  want(session, other(side));
  if (session.endpoint(other(side)).ended || session.endpoint(side).failed) settleLater(session);
}

void UringRelay::handleSendFailed(UringSession& session, Side side, int error) noexcept {
  Endpoint& to = session.endpoint(side);
  noteWriteFailed(to, error);
  to.dropped += pending(session, side);
  dropOwed(session, side);
  if (session.state == Session::State::kDelivering) return owner().handleDelivery(session);
  want(session, other(side));
  want(session, side);  // what is read from it says why
  settleLater(session);
}

std::size_t UringRelay::pending(const Session& session, Side side) const noexcept {
  const UringEnd& end = static_cast<const UringSession&>(session).end(side);
  const std::uint8_t owed = session.endpoint(side).owed;
  std::size_t size = 0;
  auto id = end.first;
  for (unsigned i = 0; i < owed; ++i, id = buffers_.next(id)) size += buffers_.size(id);
  return size - (owed != 0 ? end.sent : 0);
}

void UringRelay::popOwed(UringSession& session, Side side) noexcept {
  UringEnd& end = session.end(side);
  const auto id = end.first;
  end.first = buffers_.next(id);
  end.sent = 0;
  --session.endpoint(side).owed;
  buffers_.give(id);
}

// All but what the kernel is reading from.
void UringRelay::dropOwed(UringSession& session, Side side) noexcept {
  std::uint8_t& owed = session.endpoint(side).owed;
  if (!session.end(side).sending) {
    while (owed != 0) popOwed(session, side);
    return;
  }
  for (auto id = session.end(side).first; owed > 1; --owed) buffers_.give(id = buffers_.next(id));
}

void UringRelay::deliver(Session& session) noexcept {
  watch(own(session), session.client.fd >= 0 ? Side::kClient : Side::kBackend);
  want(own(session), Side::kBackend);
}

}  // namespace lemonade::proxy
