// SPDX-License-Identifier: MIT
#include "proxy/uring_relay.h"

#include "base/clock.h"
#include "proxy/ends.h"
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

// What a completion is about: bit 0 the side, bits 1 to 3 the request, then the session's address, which is a multiple
// of 16, and in the upper 16 bits which attempt to connect it is of. A guest's number takes the place of the last two.
constexpr int kRequestShift = 1;
constexpr int kNumberShift = 4;
constexpr int kRoundShift = 48;
constexpr std::uint64_t kSessionMask = ((std::uint64_t{1} << kRoundShift) - 1) & ~std::uint64_t{15};
static_assert(alignof(Session) >= 16);

/// ThreadSanitizer keeps account of descriptors. It does not see the kernel close one, and would take the next use of
/// its number, by whatever thread, for a race with the last.
#ifdef __SANITIZE_THREAD__
constexpr bool kDescriptorsAreFollowed = true;
#else
constexpr bool kDescriptorsAreFollowed = false;
#endif

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
    case Request::kReceive:
      return handleReceived(session, side, completion);
    case Request::kSend:
      return handleSent(session, side, completion.result);
    case Request::kWatch:
      return handleWatched(session, side, completion);
    case Request::kConnect:
      about.connecting = false;
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
void UringRelay::drop(Endpoint& endpoint, Request request, const Completion& completion) noexcept {
  if (request == Request::kReceive) giveBack(completion);
  if (request == Request::kSend && std::exchange(endpoint.sending, false)) dropOwed(endpoint);
}

// ---- ends ----

// A reset must show also while nothing is received.
void UringRelay::watch(Session& session, Side side) noexcept {
  Endpoint& watched = endpoint(session, side);
  if (std::exchange(watched.watched, true)) return;
  // For errors and hang-ups alone; and for a FIN, whether one wants that or not. So it goes on after the first.
  ask(session, side, Request::kWatch, IORING_OP_POLL_ADD, watched.fd).len = IORING_POLL_ADD_MULTI;
}

// A client that reset before it was accepted is told of after a connect that was done at once.
void UringRelay::handleConnect(Session& session, int result) noexcept {
  if (result < 0) return owner_.handleConnectFailed(session, -result);
  hasFailed(session.client.fd) ? owner_.handleAbandoned(session) : owner_.handleConnected(session);
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
    case Session::State::kPausing:
    case Session::State::kQueued:
      return owner_.handleAbandoned(session);
    case Session::State::kRelaying:
      return settleLater(session);
    case Session::State::kDelivering:
      return owner_.handleDelivery(session);
    case Session::State::kClosed:
      return;
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

// Passes ends on, and tells what they come to.
void UringRelay::settle(Session& session) noexcept {
  passEnd(session.client, session.backend);
  passEnd(session.backend, session.client);
  const Ending ending = endingOf(session);
  if (ending != Ending::kOpen || (isEnding(session) && !session.ending)) owner_.handleEnding(session, ending);
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

// One by one, each found by its name: for all requests of a descriptor the kernel would look through those of every
// session.
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
