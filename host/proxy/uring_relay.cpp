// SPDX-License-Identifier: MIT
#include "proxy/uring_relay.h"

#include "proxy/ends.h"
#include "proxy/socket_state.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <new>
#include <utility>

namespace lemonade::proxy {

namespace {

// What a completion is about: bit 0 the side, bits 1 to 3 the request, then the session's address, which is a multiple
// of 16, and in the upper 16 bits which attempt to connect it is of. A guest's number takes the place of the last two.
constexpr int kRequestShift = 1;
constexpr int kNumberShift = 4;
constexpr int kRoundShift = 48;
constexpr std::uint64_t kSessionMask = ((std::uint64_t{1} << kRoundShift) - 1) & ~std::uint64_t{15};
static_assert(alignof(UringSession) >= 16);

/// ThreadSanitizer keeps account of descriptors. It does not see the kernel close one, and would take the next use of
/// its number, by whatever thread, for a race with the last.
#ifdef __SANITIZE_THREAD__
constexpr bool kDescriptorsAreFollowed = true;
#else
constexpr bool kDescriptorsAreFollowed = false;
#endif

}  // namespace

static_assert(POLLIN == EPOLLIN);

UringRelay::UringRelay(Meter& meter)
    : meter_(meter), ring_(std::make_unique<Ring>()), buffers_(*ring_), options_(*ring_) {}

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

// ---- waiting ----

void UringRelay::addGuest(int fd, std::uint32_t events, Guest& guest, Wake wake) {
  guests_.push_back({fd, events, &guest, wake, ++last_number_, false});
}

void UringRelay::removeGuest(int fd) noexcept {
  const auto found = std::find_if(guests_.begin(), guests_.end(), [fd](const auto& one) { return one.fd == fd; });
  if (found == guests_.end()) return;
  // Twice: a poll that was woken for a client which another worker took meanwhile is not withdrawn, but armed anew by
  // the kernel while it hands over what has completed. It would take the wake-up for a later client with it.
  for (int i = 0; i < 2 && found->asked && attached_; ++i) {
    auto& request = ring_->next();
    const auto data = (found->number << kNumberShift) | (std::uint64_t(Request::kGuest) << kRequestShift);
    ::io_uring_prep_poll_remove(&request, data);
    // At once, since the kernel keeps a socket open for as long as it is asked about it.
    ring_->submit();
  }
  guests_.erase(found);
}

void UringRelay::askForGuests() noexcept {
  for (auto& one : guests_) {
    if (std::exchange(one.asked, true)) continue;
    auto& request = ring_->next();
    // A worker that was woken has left the kernel's queue, and comes in at its end: workers take turns.
    const unsigned how = one.wake == Wake::kOne ? unsigned{EPOLLEXCLUSIVE} : 0;
    ::io_uring_prep_poll_add(&request, one.fd, one.events | how);
    request.user_data = (one.number << kNumberShift) | (std::uint64_t(Request::kGuest) << kRequestShift);
  }
}

void UringRelay::handleGuest(std::uint64_t number, std::int32_t result) noexcept {
  const auto found =
      std::find_if(guests_.begin(), guests_.end(), [number](const auto& one) { return one.number == number; });
  if (found == guests_.end()) return;
  found->asked = false;
  ++events_;
  found->guest->handleReady(result > 0 ? static_cast<std::uint32_t>(result) : std::uint32_t{POLLERR});
}

void UringRelay::wait() noexcept {
  askForGuests();
  feedStarved();
  (void)buffers_.offer(0);
  leaving_ ? ring_->submit() : ring_->wait(gather_ns_, Coalescing::kEnough);

  owner().handleTurn();
  events_ = 0;
  while (const auto completion = ring_->pop()) handleCompletion(*completion);
  settleAll();
  gather_ns_ = coalescing_.endTurn(events_);
}

std::uint64_t UringRelay::nameOf(const UringSession& session, Side side, Request request) noexcept {
  // A client has but one socket: its requests keep their names while backends are tried.
  const std::uint64_t round = side == Side::kBackend ? session.round : 0;
  return reinterpret_cast<std::uintptr_t>(&session) | std::uint64_t(side) | (std::uint64_t(request) << kRequestShift) |
         (round << kRoundShift);
}

io_uring_sqe& UringRelay::ask(UringSession& session, Side side, Request request, int operation, int fd) noexcept {
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
  if (request == Request::kGuest) return handleGuest(completion.user_data >> kNumberShift, completion.result);
  auto& session = *reinterpret_cast<UringSession*>(completion.user_data & kSessionMask);
  const auto side = static_cast<Side>(completion.user_data & 1);
  if ((completion.flags & IORING_CQE_F_MORE) == 0) --session.in_kernel;
  const bool stale = side == Side::kBackend && (completion.user_data >> kRoundShift) != session.round;
  if (session.endpoint(side).fd < 0 || stale) return drop(session, side, request, completion);
  switch (request) {
    case Request::kReceive:
      return handleReceived(session, side, completion);
    case Request::kSend:
      return handleSent(session, side, completion.result);
    case Request::kWatch:
      return handleWatched(session, side, completion);
    case Request::kConnect:
      session.end(side).connecting = false;
      return handleConnect(session, completion.result);
    case Request::kNoMatter:
    case Request::kGuest:
      return;
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
void UringRelay::drop(UringSession& session, Side side, Request request, const Completion& completion) noexcept {
  if (request == Request::kReceive) giveBack(completion);
  if (request == Request::kSend && std::exchange(session.end(side).sending, false)) dropOwed(session, side);
}

// ---- ends ----

// A reset must show also while nothing is received.
void UringRelay::watch(UringSession& session, Side side) noexcept {
  if (std::exchange(session.end(side).watched, true)) return;
  // For errors and hang-ups alone; and for a FIN, whether one wants that or not. So it goes on after the first.
  ask(session, side, Request::kWatch, IORING_OP_POLL_ADD, session.endpoint(side).fd).len = IORING_POLL_ADD_MULTI;
}

// A client that reset before it was accepted is told of after a connect that was done at once.
void UringRelay::handleConnect(UringSession& session, int result) noexcept {
  if (result < 0) return owner().handleConnectFailed(session, -result);
  hasFailed(session.client.fd) ? owner().handleAbandoned(session) : owner().handleConnected(session);
}

void UringRelay::handleWatched(UringSession& session, Side side, const Completion& completion) noexcept {
  bool& watched = session.end(side).watched;
  watched = (completion.flags & IORING_CQE_F_MORE) != 0;
  if (completion.result < 0) return;
  if ((completion.result & (POLLERR | POLLHUP)) == 0) {
    if (!watched) watch(session, side);  // the kernel had no place to tell us more than once
    return;
  }
  if ((completion.result & POLLERR) != 0) session.endpoint(side).failed = true;
  switch (session.state) {
    case Session::State::kConnecting:
    case Session::State::kNoDescriptor:
    case Session::State::kPausing:
    case Session::State::kQueued:
      if (hasBroken(session.endpoint(side).fd, static_cast<std::uint32_t>(completion.result)))
        owner().handleAbandoned(session);
      return;
    case Session::State::kRelaying:
      return settleLater(session);
    case Session::State::kDelivering:
      return owner().handleDelivery(session);
    case Session::State::kParted:  // what is received tells more
    case Session::State::kClosed:
      return;
  }
}

void UringRelay::settleLater(UringSession& session) noexcept {
  if (session.state != Session::State::kRelaying || session.settling_hook.is_linked()) return;
  settling_.push_back(session);
}

void UringRelay::settleAll() noexcept {
  while (!settling_.empty()) {
    UringSession& session = settling_.front();
    settling_.pop_front();
    if (session.state == Session::State::kRelaying) settle(session);
  }
}

// Passes ends on, and tells what they come to.
void UringRelay::settle(UringSession& session) noexcept {
  passEnd(session.client, session.backend);
  passEnd(session.backend, session.client);
  const Ending ending = endingOf(session);
  if (ending != Ending::kOpen || (isEnding(session) && !session.ending)) owner().handleEnding(session, ending);
}

// ---- connecting, closing ----

void UringRelay::setOption(int fd, int level, int name, int value) noexcept { options_.set(fd, level, name, value); }

Dialer::Connect UringRelay::connect(Session& session, const Address& address) noexcept {
  if (address.isUnix()) {  // which the kernel connects or refuses at once
    const bool connected = ::connect(session.backend.fd, address.get(), address.size()) == 0;
    return connected ? Connect::kConnected : Connect::kFailed;
  }
  auto& request = ask(own(session), Side::kBackend, Request::kConnect, IORING_OP_CONNECT, session.backend.fd);
  request.addr = reinterpret_cast<std::uintptr_t>(address.get());
  request.off = address.size();
  own(session).backend_end.connecting = true;
  return Connect::kConnecting;
}

// What the client has sent already is for the next backend.
void UringRelay::dropBackend(Session& session) noexcept {
  auto& mine = own(session);
  UringEnd next;
  next.first = mine.backend_end.first;
  next.last = mine.backend_end.last;
  const auto owed = std::exchange(session.backend.owed, std::uint8_t{0});
  close(session, Side::kBackend, false);
  session.backend = Endpoint{};
  session.backend.owed = owed;
  mine.backend_end = next;
  ++mine.round;
}

Session* UringRelay::take(Fd client) noexcept {
  auto* session = new (std::nothrow) UringSession;
  if (session == nullptr) return nullptr;
  session->client.fd = client.release();
  receive(*session, Side::kClient);
  return session;
}

void UringRelay::start(Session& session) noexcept {
  auto& mine = own(session);
  send(mine, Side::kBackend);
  want(mine, Side::kBackend);
  want(mine, Side::kClient);
  if (session.client.ended || session.client.failed) settleLater(mine);
}

// One by one, each found by its name: for all requests of a descriptor the kernel would look through those of every
// session.
void UringRelay::cancel(const UringSession& session, Side side) noexcept {
  const UringEnd& end = session.end(side);
  const auto withdraw = [&](bool asked, Request request) {
    if (asked) ::io_uring_prep_cancel64(&ring_->next(), nameOf(session, side, request), 0);
  };
  withdraw(end.connecting, Request::kConnect);
  withdraw(end.receiving && !end.starved, Request::kReceive);
  withdraw(end.sending, Request::kSend);
  withdraw(end.watched, Request::kWatch);
}

void UringRelay::close(Session& session, Side side, bool reset) noexcept {
  dropOwed(own(session), side);
  Endpoint& endpoint = session.endpoint(side);
  if (endpoint.fd < 0) return;
  const int fd = std::exchange(endpoint.fd, -1);
  if (reset) resetOnClose(fd);
  if (!attached_) {
    ::close(fd);
    return;
  }
  cancel(own(session), side);
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
  auto& mine = own(session);
  if (mine.settling_hook.is_linked()) settling_.erase(settling_.iterator_to(mine));
  if (mine.in_kernel != 0 && attached_) return false;
  if (mine.starved_hook.is_linked()) starved_.erase(starved_.iterator_to(mine));
  return true;
}

}  // namespace lemonade::proxy
