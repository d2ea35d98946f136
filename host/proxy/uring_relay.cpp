// SPDX-License-Identifier: MIT
#include "proxy/uring_relay.h"

#include "base/clock.h"
#include "proxy/socket_state.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace lemonade::proxy {

namespace {

/// So many buffers may wait for an endpoint: one is being sent while the next is filled. A second full one would only
/// wait behind the first.
constexpr std::uint8_t kMostOwed = 2;
constexpr std::uint8_t kMostFullOwed = 1;

/// A socket that is written to for the first time in a while takes so much; a longer send may well be cut short.
constexpr std::uint32_t kSureToFit = 16 * 1024;

// What a completion is about: bit 0 the side, bits 1 to 3 the request, then the session's address, which is a multiple of
// 16, and in the upper 16 bits which attempt to connect it is of. A guest's number takes the place of the last two.
constexpr int kRequestShift = 1;
constexpr int kNumberShift = 4;
constexpr int kRoundShift = 48;
constexpr std::uint64_t kSessionMask = ((std::uint64_t{1} << kRoundShift) - 1) & ~std::uint64_t{15};
static_assert(alignof(Session) >= 16);

/// ThreadSanitizer keeps account of descriptors. It does not see the kernel close one, and would take the next use of its
/// number, by whatever thread, for a race with the last.
#ifdef __SANITIZE_THREAD__
constexpr bool kDescriptorsAreFollowed = true;
#else
constexpr bool kDescriptorsAreFollowed = false;
#endif

bool isOver(const Endpoint& from, const Endpoint& to) noexcept {
  return from.ended && (to.finished || to.broken) && !to.isOwed();
}

/// Its end was read, and then it broke. What a backend sent before still goes to the client.
bool isReset(const Endpoint& from, const Endpoint& to, bool inward) noexcept {
  return from.ended && (from.broken || (from.failed && (inward || !to.isOwed())));
}

}  // namespace

UringRelay::UringRelay(Owner& owner, Meter& meter)
    : owner_(owner),
      meter_(meter),
      always_ready_(ownedFd(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")),
      ring_(std::make_unique<Ring>()),
      buffers_(*ring_),
      options_(*ring_) {}

UringRelay::~UringRelay() { ring_.reset(); }

void UringRelay::attach() {
  ring_->enable();
  attached_ = true;
  options_.probe();
}

void UringRelay::detach() noexcept {
  ring_->submit();
  attached_ = false;
}

void UringRelay::addGuest(int fd, Guest* guest) { visitors_.push_back({fd, guest, ++last_number_, false}); }

void UringRelay::removeGuest(int fd) noexcept {
  const auto found = std::find_if(visitors_.begin(), visitors_.end(), [fd](const auto& one) { return one.fd == fd; });
  if (found == visitors_.end()) return;
  if (found->asked && attached_) {
    auto& request = ring_->next();
    const auto data = (found->number << kNumberShift) | (std::uint64_t(Request::kGuest) << kRequestShift);
    ::io_uring_prep_poll_remove(&request, data);
    // At once, since the kernel keeps a socket open for as long as it is asked about it.
    ring_->submit();
  }
  visitors_.erase(found);
}

void UringRelay::askForGuests() noexcept {
  for (auto& visitor : visitors_) {
    if (std::exchange(visitor.asked, true)) continue;
    auto& request = ring_->next();
    // Who has been woken has left the kernel's queue, and comes in at its end: workers take turns.
    const unsigned wake_one = EPOLLEXCLUSIVE;
    ::io_uring_prep_poll_add(&request, visitor.fd, POLLIN | (visitor.guest != nullptr ? wake_one : 0));
    request.user_data = (visitor.number << kNumberShift) | (std::uint64_t(Request::kGuest) << kRequestShift);
  }
}

void UringRelay::handleGuest(std::uint64_t number) noexcept {
  const auto found =
      std::find_if(visitors_.begin(), visitors_.end(), [number](const auto& one) { return one.number == number; });
  if (found == visitors_.end()) return;
  found->asked = false;
  ++events_;
  if (found->guest == nullptr)
    reactors_turn_ = true;
  else
    found->guest->handleReadable();
}

bool UringRelay::wait() noexcept {
  askForGuests();
  feedStarved();
  (void)buffers_.offer(0);
  leaving_ ? ring_->submit() : ring_->wait(gather_ns_, Coalescing::kEnough);

  owner_.handleTurn(nowNs());
  reactors_turn_ = leaving_;
  events_ = 0;
  while (const auto completion = ring_->pop()) handleCompletion(*completion);
  settleAll();
  gather_ns_ = coalescing_.endTurn(events_);
  return !reactors_turn_;
}

std::uint64_t UringRelay::nameOf(const Session& session, Side side, Request request) noexcept {
  // A client has but one socket: its requests keep their names while backends are tried.
  const std::uint64_t round = side == Side::kBackend ? session.round : 0;
  return reinterpret_cast<std::uintptr_t>(&session) | std::uint64_t(side) | (std::uint64_t(request) << kRequestShift) |
         (round << kRoundShift);
}

io_uring_sqe& UringRelay::ask(Session& session, Side side, Request request, int operation, int fd) noexcept {
  auto& entry = ring_->next();
  entry.opcode = static_cast<std::uint8_t>(operation);
  entry.fd = fd;
  entry.user_data = nameOf(session, side, request);
  ++session.in_kernel;
  return entry;
}

void UringRelay::handleCompletion(const Completion& completion) noexcept {
  const auto request = static_cast<Request>((completion.user_data >> kRequestShift) & 7);
  if (request == Request::kNoMatter) return;
  if (request == Request::kGuest) return handleGuest(completion.user_data >> kNumberShift);
  auto& session = *reinterpret_cast<Session*>(completion.user_data & kSessionMask);
  const auto side = static_cast<Side>(completion.user_data & 1);
  if ((completion.flags & IORING_CQE_F_MORE) == 0) --session.in_kernel;
  Endpoint& about = endpoint(session, side);
  const bool stale = side == Side::kBackend && (completion.user_data >> kRoundShift) != session.round;
  if (about.fd < 0 || stale) return drop(about, request, completion);
  switch (request) {
    case Request::kReceive: return handleReceived(session, side, completion);
    case Request::kSend: return handleSent(session, side, completion.result);
    case Request::kWatch: return handleWatched(session, side, completion);
    case Request::kConnect:
      about.connecting = false;
      return completion.result == 0 ? owner_.handleConnected(session)
                                    : owner_.handleConnectFailed(session, -completion.result);
    case Request::kNoMatter:
    case Request::kGuest: return;
  }
}

// The buffer that came with it, if any: the kernel may have chosen one before it found an end or an error.
void UringRelay::giveBack(const Completion& completion) noexcept {
  if ((completion.flags & IORING_CQE_F_BUFFER) == 0) return;
  const auto id = static_cast<RingBuffers::Id>(completion.flags >> IORING_CQE_BUFFER_SHIFT);
  buffers_.take(id, 0);
  buffers_.give(id);
}

// Of an endpoint that is closed.
void UringRelay::drop(Endpoint& endpoint, Request request, const Completion& completion) noexcept {
  if (request == Request::kReceive) giveBack(completion);
  if (request == Request::kSend && std::exchange(endpoint.sending, false)) dropOwed(endpoint);
}

// ---- receiving ----

bool UringRelay::watchClient(Session& session) noexcept {
  receive(session, Side::kClient);
  return true;
}

void UringRelay::receive(Session& session, Side side) noexcept {
  Endpoint& from = endpoint(session, side);
  auto& request = ask(session, side, Request::kReceive, IORING_OP_RECV, from.fd);
  request.len = RingBuffers::kSize;
  request.flags = IOSQE_BUFFER_SELECT;
  request.buf_group = RingBuffers::kGroup;
  // After a whole buffer there is likely to be more; else the kernel need not look in vain.
  if (!from.eager) request.ioprio = IORING_RECVSEND_POLL_FIRST;
  from.receiving = true;
}

// Receives from an endpoint, unless it is at it, may not, or enough waits for the other.
void UringRelay::want(Session& session, Side side) noexcept {
  Endpoint& from = endpoint(session, side);
  if (from.fd < 0 || from.receiving || from.ended || session.state == Session::State::kResetting) return;
  if (side == Side::kBackend && session.state != Session::State::kRelaying) return;
  if (endpoint(session, other(side)).owed < (from.eager ? kMostFullOwed : kMostOwed))
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
    from.ended = true;
    if (side == Side::kBackend && session.in_exchange && !session.answered && !session.client.ended)
      session.turned_away = true;
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
  from.eager = size == RingBuffers::kSize;
  if (session.state == Session::State::kResetting) return buffers_.give(id);
  if (side == Side::kBackend) meter_.bytesOut(session, size);
  if (to.broken) {
    buffers_.give(id);
  } else {
    (to.owed++ == 0 ? to.first : buffers_.next(to.last)) = id;
    to.last = id;
  }
  if (session.state == Session::State::kRelaying) {
    send(session, other(side));
    owner_.handleActivity(session);
  }
  want(session, side);
}

void UringRelay::handleReceiveFailed(Session& session, Side side) noexcept {
  Endpoint& from = endpoint(session, side);
  from.failed = true;
  if (session.state == Session::State::kResetting) return owner_.handleDelivery(session);
  if (session.state != Session::State::kRelaying) return owner_.handleAbandoned(session);
  owner_.handleEnd(session, side == Side::kClient ? CloseReason::kClientReset : CloseReason::kBackendReset);
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
}

void UringRelay::handleSent(Session& session, Side side, int result) noexcept {
  Endpoint& to = endpoint(session, side);
  to.sending = false;
  if (result == -EAGAIN || result == -EINTR) return submitSend(session, side, false);
  if (result < 0) {
    to.broken = true;
    dropOwed(to);
  } else {
    if (session.state == Session::State::kRelaying) owner_.handleActivity(session);
    to.sent += static_cast<std::uint32_t>(result);
    if (to.sent < buffers_.size(to.first)) return submitSend(session, side, false);
    popOwed(to);
    if (session.state == Session::State::kRelaying) {
      send(session, side);
    } else if (to.owed != 0) {
      submitSend(session, side, true);
    }
  }
  if (session.state == Session::State::kResetting) {
    to.failed = to.failed || to.broken;
    return owner_.handleDelivery(session);
  }
  want(session, other(side));
  if (to.broken) want(session, side);  // what is read from it says why
  if (to.broken || endpoint(session, other(side)).ended || to.failed) settleLater(session);
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

bool UringRelay::isDelivered(Endpoint& endpoint) noexcept {
  return endpoint.failed || (!endpoint.isOwed() && allSent(endpoint.fd));
}

// ---- ends ----

// A reset must show also while nothing is received.
void UringRelay::watch(Session& session, Side side) noexcept {
  Endpoint& watched = endpoint(session, side);
  if (std::exchange(watched.watched, true)) return;
  // For errors and hang-ups alone; and for a FIN, whether one wants that or not. So it goes on after the first.
  ask(session, side, Request::kWatch, IORING_OP_POLL_ADD, watched.fd).len = IORING_POLL_ADD_MULTI;
}

void UringRelay::handleWatched(Session& session, Side side, const Completion& completion) noexcept {
  Endpoint& watched = endpoint(session, side);
  watched.watched = (completion.flags & IORING_CQE_F_MORE) != 0;
  if (completion.result < 0) return;
  if ((completion.result & (POLLERR | POLLHUP)) == 0) {
    if (!watched.watched) watch(session, side);  // the kernel had no place to tell us more than once
    return;
  }
  if ((completion.result & POLLERR) != 0) watched.failed = true;
  switch (session.state) {
    case Session::State::kConnecting:
    case Session::State::kNoDescriptor:
    case Session::State::kQueued: return owner_.handleAbandoned(session);
    case Session::State::kRelaying: return settleLater(session);
    case Session::State::kResetting: return owner_.handleDelivery(session);
    case Session::State::kClosed: return;
  }
}

void UringRelay::settleLater(Session& session) noexcept {
  if (session.state != Session::State::kRelaying || std::exchange(session.again, true)) return;
  settling_.push_back(session);
}

void UringRelay::settleAll() noexcept {
  while (!settling_.empty()) {
    Session& session = settling_.front();
    settling_.pop_front();
    session.again = false;
    if (session.state == Session::State::kRelaying) settle(session);
  }
}

// Passes ends on, and tells when there is no more to relay.
void UringRelay::settle(Session& session) noexcept {
  Endpoint& client = session.client;
  Endpoint& backend = session.backend;
  if (isReset(backend, client, false)) return owner_.handleEnd(session, CloseReason::kBackendReset);
  // A client that is gone must not wait for a backend that does not read.
  if (isReset(client, backend, true) || (client.failed && backend.isOwed()))
    return owner_.handleEnd(session, CloseReason::kClientReset);
  for (const Side side : {Side::kClient, Side::kBackend}) {
    Endpoint& from = endpoint(session, side);
    Endpoint& to = endpoint(session, other(side));
    if (!from.ended || to.isOwed() || to.finished || to.broken) continue;
    to.finished = true;
    // Where that ends the session, closing it sends the FIN.
    if (!(to.ended && !from.isOwed())) (void)::shutdown(to.fd, SHUT_WR);
  }
  if (isOver(client, backend) && isOver(backend, client)) owner_.handleEnd(session, CloseReason::kDone);
}

// ---- connecting, closing ----

void UringRelay::setOption(int fd, int level, int name, int value) noexcept { options_.set(fd, level, name, value); }

Relay::Connect UringRelay::connect(Session& session, const Address& address) noexcept {
  auto& request = ask(session, Side::kBackend, Request::kConnect, IORING_OP_CONNECT, session.backend.fd);
  request.addr = reinterpret_cast<std::uintptr_t>(address.get());
  request.off = address.size();
  session.backend.connecting = true;
  return Connect::kConnecting;
}

// What the client has sent already is for the next backend.
void UringRelay::dropBackend(Session& session) noexcept {
  Endpoint next;
  next.first = session.backend.first;
  next.last = session.backend.last;
  next.owed = std::exchange(session.backend.owed, std::uint8_t{0});
  close(session, session.backend, false);
  session.backend = std::move(next);
  ++session.round;
}

void UringRelay::start(Session& session) noexcept {
  send(session, Side::kBackend);
  want(session, Side::kBackend);
  want(session, Side::kClient);
  if (session.client.ended || session.client.failed) settleLater(session);
}

// One by one, each found by its name: for all requests of a descriptor the kernel would look through those of every session.
void UringRelay::cancel(const Session& session, const Endpoint& endpoint) noexcept {
  const Side side = &endpoint == &session.client ? Side::kClient : Side::kBackend;
  const auto withdraw = [&](bool asked, Request request) {
    if (asked) ::io_uring_prep_cancel64(&ring_->next(), nameOf(session, side, request), 0);
  };
  withdraw(endpoint.connecting, Request::kConnect);
  withdraw(endpoint.receiving && !endpoint.starved, Request::kReceive);
  withdraw(endpoint.sending, Request::kSend);
  withdraw(endpoint.watched, Request::kWatch);
}

void UringRelay::close(Session& session, Endpoint& endpoint, bool reset) noexcept {
  dropOwed(endpoint);
  if (endpoint.fd < 0) return;
  const int fd = std::exchange(endpoint.fd, -1);
  if (reset) resetOnClose(fd);
  if (!attached_) {
    ::close(fd);
    return;
  }
  cancel(session, endpoint);
  if (kDescriptorsAreFollowed) {
    ring_->submit();
    ::close(fd);
    return;
  }
  auto& request = ring_->next();
  ::io_uring_prep_close(&request, fd);
  request.flags = IOSQE_CQE_SKIP_SUCCESS;
}

bool UringRelay::forget(Session& session) noexcept {
  if (std::exchange(session.again, false)) settling_.erase(settling_.iterator_to(session));
  return session.in_kernel == 0 || !attached_;
}

}  // namespace lemonade::proxy
