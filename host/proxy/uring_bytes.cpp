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

bool UringRelay::watchClient(Session& session) noexcept {
  receive(session, Side::kClient);
  return true;
}

void UringRelay::receive(Session& session, Side side) noexcept {
  Endpoint& from = endpoint(session, side);
  const Endpoint& to = endpoint(session, other(side));
  auto& request = ask(session, side, Request::kReceive, IORING_OP_RECV, from.fd);
  request.len = from.asked = RingBuffers::kSize - (to.owed != 0 ? buffers_.size(to.last) : 0);
  request.flags = IOSQE_BUFFER_SELECT;
  request.buf_group = RingBuffers::kGroup;
  // After all that was asked for there is likely to be more; else the kernel need not look in vain.
  if (!from.eager) request.ioprio = IORING_RECVSEND_POLL_FIRST;
  from.receiving = true;
}

// While a buffer waits for the other endpoint, one more may be filled only where the first is sure to be sent at once,
// or is small enough to take in the second where it stalls.
bool UringRelay::mayReceive(const Session& session, Side side) const noexcept {
  const Endpoint& to = endpoint(session, other(side));
  return to.owed == 0 || (to.owed < kMostOwed && buffers_.size(to.last) <= kSureToFit);
}

// Receives from an endpoint, unless it is at it, may not, or enough waits for the other.
void UringRelay::want(Session& session, Side side) noexcept {
  Endpoint& from = endpoint(session, side);
  if (from.fd < 0 || from.receiving || from.ended || from.reset) return;
  if (session.state == Session::State::kDelivering && side == Side::kClient) return;
  if (side == Side::kBackend && session.state < Session::State::kRelaying) return;
  if (mayReceive(session, side))
    receive(session, side);
  else
    watch(session, side);  // whether it breaks meanwhile
}

void UringRelay::handleReceived(Session& session, Side side, const Completion& completion) noexcept {
  Endpoint& from = endpoint(session, side);
  from.receiving = false;
  ++events_;
  if (completion.result > 0) return handleBytes(session, side, completion);
  giveBack(completion);
  if (completion.result == 0) {
    noteEnd(session, from);
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
    owner_.handleNoMemory(session);
  } else {
    handleReceiveFailed(session, side);
  }
}

void UringRelay::handleBytes(Session& session, Side side, const Completion& completion) noexcept {
  const auto size = static_cast<std::uint32_t>(completion.result);
  const auto id = static_cast<RingBuffers::Id>(completion.flags >> IORING_CQE_BUFFER_SHIFT);
  Endpoint& from = endpoint(session, side);
  Endpoint& to = endpoint(session, other(side));
  buffers_.take(id, size);
  from.eager = size == from.asked;
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
    owner_.handleActivity(session);
  }
  want(session, side);
}

// Behind what waits for the endpoint. A send that waits has the kernel read the first bytes of its buffer only.
void UringRelay::append(Session& session, Side side, RingBuffers::Id id) noexcept {
  Endpoint& to = endpoint(session, side);
  if (to.owed != 0 && to.stalled) {
    if (side == Side::kBackend) meter_.bytesIn(session, buffers_.size(id));
    buffers_.append(to.last, id);
    return buffers_.give(id);
  }
  (to.owed++ == 0 ? to.first : buffers_.next(to.last)) = id;
  to.last = id;
}

void UringRelay::handleReceiveFailed(Session& session, Side side) noexcept {
  Endpoint& from = endpoint(session, side);
  from.failed = from.reset = true;
  if (session.state == Session::State::kDelivering) return owner_.handleDelivery(session);
  if (session.state != Session::State::kRelaying) return owner_.handleAbandoned(session);
  settleLater(session);
}

// Each gets a buffer of its own: those that were just served have asked again before it, and may take all others. Where
// there is no memory for any, they wait for what others give back, or for a moment.
void UringRelay::feedStarved() noexcept {
  const auto isStarved = [](const Endpoint& from) { return from.receiving && from.fd >= 0 && from.starved; };
  unsigned wanted = 0;
  starved_.remove_and_dispose_if(
      [&](const Session& session) { return !isStarved(session.client) && !isStarved(session.backend); },
      [](Session* session) { --session->in_kernel; });
  for (const Session& session : starved_)
    wanted += (isStarved(session.client) ? 1U : 0U) + (isStarved(session.backend) ? 1U : 0U);
  if (wanted == 0) return;
  if (!buffers_.offer(wanted)) return ring_->lookAgainSoon();
  while (!starved_.empty()) {
    Session& session = starved_.front();
    starved_.pop_front();
    --session.in_kernel;
    for (const Side side : {Side::kClient, Side::kBackend})
      if (Endpoint& from = endpoint(session, side); isStarved(from)) {
        from.receiving = from.starved = false;
        want(session, side);
      }
  }
}

// ---- sending ----

// Sends what is owed to an endpoint, one buffer at a time.
void UringRelay::send(Session& session, Side side) noexcept {
  Endpoint& to = endpoint(session, side);
  if (to.sending || to.owed == 0) return;
  if (side == Side::kBackend) meter_.bytesIn(session, buffers_.size(to.first));
  submitSend(session, side, true);
}

// Whether there is nothing to do when this send is done: what waits for that must wake the worker.
bool UringRelay::leavesNothing(Session& session, Side side) noexcept {
  const Endpoint& to = endpoint(session, side);
  return session.state == Session::State::kRelaying && to.owed == 1 && !endpoint(session, other(side)).ended &&
         buffers_.size(to.first) - to.sent <= kSureToFit;
}

// At once: what the socket takes now, without waiting for it to take more.
void UringRelay::submitSend(Session& session, Side side, bool at_once) noexcept {
  Endpoint& to = endpoint(session, side);
  auto& request = ask(session, side, Request::kSend, IORING_OP_SEND, to.fd);
  request.addr = reinterpret_cast<std::uintptr_t>(buffers_.data(to.first) + to.sent);
  request.len = buffers_.size(to.first) - to.sent;
  request.msg_flags = MSG_NOSIGNAL | (at_once ? MSG_DONTWAIT : MSG_WAITALL);
  if (at_once && leavesNothing(session, side)) ring_->expectAtOnce();
  to.sending = true;
  to.stalled = !at_once;
  if (!to.stalled || to.owed < kMostOwed) return;
  // The second was received while the first had room for it.
  const auto second = buffers_.next(to.first);
  if (side == Side::kBackend) meter_.bytesIn(session, buffers_.size(second));
  buffers_.append(to.first, second);
  buffers_.give(second);
  to.last = to.first;
  to.owed = 1;
}

void UringRelay::handleSent(Session& session, Side side, int result) noexcept {
  Endpoint& to = endpoint(session, side);
  const bool stalled = std::exchange(to.stalled, false);
  to.sending = false;
  if (result == -EAGAIN || result == -EINTR) return submitSend(session, side, false);
  if (result < 0) return handleSendFailed(session, side, -result);
  const bool relaying = session.state == Session::State::kRelaying;
  if (relaying) owner_.handleActivity(session);
  to.sent += static_cast<std::uint32_t>(result);
  // A send that waited took all that there was when it began.
  if (to.sent < buffers_.size(to.first)) return submitSend(session, side, stalled);
  popOwed(to);
  if (!relaying) {
    if (to.owed != 0) submitSend(session, side, true);
    return owner_.handleDelivery(session);
  }
  send(session, side);
  want(session, other(side));
  if (endpoint(session, other(side)).ended || to.failed) settleLater(session);
}

void UringRelay::handleSendFailed(Session& session, Side side, int error) noexcept {
  Endpoint& to = endpoint(session, side);
  noteWriteFailed(to, error);
  to.dropped += pending(to);
  dropOwed(to);
  if (session.state == Session::State::kDelivering) return owner_.handleDelivery(session);
  want(session, other(side));
  want(session, side);  // what is read from it says why
  settleLater(session);
}

std::size_t UringRelay::pending(const Endpoint& endpoint) const noexcept {
  std::size_t size = 0;
  auto id = endpoint.first;
  for (unsigned i = 0; i < endpoint.owed; ++i, id = buffers_.next(id)) size += buffers_.size(id);
  return size - (endpoint.owed != 0 ? endpoint.sent : 0);
}

void UringRelay::popOwed(Endpoint& endpoint) noexcept {
  const auto id = endpoint.first;
  endpoint.first = buffers_.next(id);
  endpoint.sent = 0;
  --endpoint.owed;
  buffers_.give(id);
}

// All but what the kernel is reading from.
void UringRelay::dropOwed(Endpoint& endpoint) noexcept {
  if (!endpoint.sending) {
    while (endpoint.owed != 0) popOwed(endpoint);
    return;
  }
  for (auto id = endpoint.first; endpoint.owed > 1; --endpoint.owed) buffers_.give(id = buffers_.next(id));
}

void UringRelay::deliver(Session& session) noexcept {
  watch(session, session.client.fd >= 0 ? Side::kClient : Side::kBackend);
  want(session, Side::kBackend);
}

}  // namespace lemonade::proxy
