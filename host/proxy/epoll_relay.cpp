// SPDX-License-Identifier: MIT
#include "proxy/epoll_relay.h"

#include "proxy/socket_state.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <memory>
#include <new>
#include <system_error>
#include <utility>

namespace lemonade::proxy {

namespace {

constexpr int kEventsAtOnce = 256;
constexpr int kWatchAgainMs = 100;  // what there was no memory for

static_assert(EPOLLERR == POLLERR && EPOLLHUP == POLLHUP);

// The lowest bit of a session's address says which side of it an event is about.
constexpr std::uintptr_t kBackendBit = 1;
// A descriptor that is no session's, shifted left, has this bit.
constexpr std::uint64_t kNoSession = std::uint64_t{1} << 63;

void remember(Endpoint& endpoint, EpollEnd& end, std::uint32_t events) noexcept {
  if ((events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) end.readable = !endpoint.ended;
  // Reads also stop short at urgent data.
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI)) != 0) end.hung_up = true;
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) end.writable = true;
  if ((events & EPOLLERR) != 0) endpoint.failed = true;
}

/// False where memory is out.
bool watchDescriptor(int epoll_fd, int fd, std::uint32_t events) noexcept {
  epoll_event event{};
  event.events = events;
  event.data.u64 = kNoSession | static_cast<std::uint64_t>(fd);
  return ::epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

}  // namespace

static_assert(POLLIN == EPOLLIN && POLLOUT == EPOLLOUT && POLLERR == EPOLLERR && POLLHUP == EPOLLHUP);

EpollRelay::EpollRelay(Meter& meter)
    : forwarder_(buffers_, meter),
      epoll_(ownedFd(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      again_fd_(ownedFd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")) {
  if (!watchDescriptor(epoll_.get(), again_fd_.get(), EPOLLIN))
    throw std::system_error(errno, std::generic_category(), "epoll_ctl");
}

// ---- waiting ----

void EpollRelay::addGuest(int fd, std::uint32_t events, Guest& guest, Wake wake) {
  guests_.push_back({fd, events, &guest, wake, false});
  watchGuests();
}

void EpollRelay::removeGuest(int fd) noexcept {
  std::erase_if(guests_, [fd](const auto& one) { return one.fd == fd; });
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

// A worker that begins to wait for a descriptor which others wait for, too, is the last of them.
void EpollRelay::watchGuests() noexcept {
  all_watched_ = true;
  for (auto& one : guests_) {
    const std::uint32_t how = one.wake == Wake::kOne ? std::uint32_t{EPOLLEXCLUSIVE} : 0;
    if (!one.watched) one.watched = watchDescriptor(epoll_.get(), one.fd, one.events | how);
    all_watched_ = all_watched_ && one.watched;
  }
}

void EpollRelay::wait() noexcept {
  if (gather_ns_ != 0) {
    const timespec gather{0, static_cast<long>(gather_ns_)};
    (void)::nanosleep(&gather, nullptr);
  }
  epoll_event events[kEventsAtOnce];
  const int longest = leaving_ ? 0 : all_watched_ ? -1 : kWatchAgainMs;
  const int count = ::epoll_wait(epoll_.get(), events, kEventsAtOnce, longest);
  if (count == 0) watchGuests();
  if (count <= 0) return;
  owner().handleTurn();
  in_turn_ = true;
  for (int i = 0; i < count; ++i) handleEvent(events[i]);
  in_turn_ = false;
  if (!all_watched_) watchGuests();
  gather_ns_ = coalescing_.endTurn(count);
}

void EpollRelay::handleEvent(const epoll_event& event) noexcept {
  if ((event.data.u64 & kNoSession) != 0)
    return handleGuest(static_cast<int>(event.data.u64 & ~kNoSession), event.events);
  auto& session = *reinterpret_cast<EpollSession*>(event.data.u64 & ~kBackendBit);
  handleSessionEvent(session, (event.data.u64 & kBackendBit) != 0 ? Side::kBackend : Side::kClient, event.events);
}

void EpollRelay::handleGuest(int fd, std::uint32_t events) noexcept {
  if (fd == again_fd_.get()) return runAgain();
  const auto found = std::find_if(guests_.begin(), guests_.end(), [fd](const auto& one) { return one.fd == fd; });
  if (found == guests_.end()) return;  // removed in this very turn
  if (found->wake == Wake::kOne) {
    // The kernel would go on waking whichever of the waiting workers came first.
    (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    all_watched_ = found->watched = false;
  }
  found->guest->handleReady(events);
}

bool EpollRelay::watch(EpollSession& session, Side side) noexcept {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.u64 = reinterpret_cast<std::uintptr_t>(&session) | (side == Side::kBackend ? kBackendBit : 0);
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, session.endpoint(side).fd, &event) == 0;
}

// Closing alone does not do: a child process that is being spawned holds the descriptor for an instant, and the set
// would go on telling of a session that is freed.
void EpollRelay::unwatch(const Endpoint& endpoint) noexcept {
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, endpoint.fd, nullptr);
}

void EpollRelay::handleSessionEvent(EpollSession& session, Side side, std::uint32_t events) noexcept {
  if (session.state == Session::State::kClosed) return;
  remember(session.endpoint(side), session.end(side), events);
  switch (session.state) {
    case Session::State::kConnecting:
      if (side == Side::kBackend) return handleConnecting(session, events);
      [[fallthrough]];
    case Session::State::kNoDescriptor:
    case Session::State::kPausing:
    case Session::State::kQueued:
      // Half-closed clients still want their answer; this one has been reset.
      if (hasBroken(session.client.fd, events)) owner().handleAbandoned(session);
      return;
    case Session::State::kRelaying:
      return run(session);
    case Session::State::kDelivering:
      deliver(session);
      return owner().handleDelivery(session);
    case Session::State::kParted:
      return lookAtParted(session);
    case Session::State::kClosed:
      return;
  }
}

// Whether its client has said something, or has finished.
void EpollRelay::lookAtParted(EpollSession& session) noexcept {
  char byte;
  const ssize_t n = ::recv(session.client.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (n < 0 && wouldBlock(errno)) return;
  owner().handleParted(session, n > 0);
}

// ---- connecting ----

void EpollRelay::setOption(int fd, int level, int name, int value) noexcept {
  lemonade::proxy::setOption(fd, level, name, value);
}

Dialer::Connect EpollRelay::connect(Session& session, const Address& address) noexcept {
  const bool connected = ::connect(session.backend.fd, address.get(), address.size()) == 0;
  if (!connected && errno != EINPROGRESS) return Connect::kFailed;
  if (!watch(own(session), Side::kBackend)) return Connect::kFailed;
  own(session).backend_end.writable = connected;
  return connected ? Connect::kConnected : Connect::kConnecting;
}

void EpollRelay::handleConnecting(EpollSession& session, std::uint32_t events) noexcept {
  const bool trouble = (events & (EPOLLERR | EPOLLHUP)) != 0;
  const int error = trouble ? socketError(session.backend.fd) : 0;
  if (error != 0) return owner().handleConnectFailed(session, error);
  if ((events & EPOLLOUT) != 0) owner().handleConnected(session);
}

void EpollRelay::dropBackend(Session& session) noexcept {
  close(session, Side::kBackend, false);
  session.backend = Endpoint{};
  own(session).backend_end = EpollEnd{};
}

// ---- moving bytes ----

Session* EpollRelay::take(Fd client) noexcept {
  auto session = std::unique_ptr<EpollSession>(new (std::nothrow) EpollSession);
  if (session == nullptr) return nullptr;
  session->client.fd = client.get();
  if (!watch(*session, Side::kClient)) return nullptr;
  (void)client.release();
  return session.release();
}

void EpollRelay::run(EpollSession& session) noexcept {
  switch (forwarder_.run(session)) {
    case Forwarder::Outcome::kNoMemory:
      return owner().handleNoMemory(session);
    case Forwarder::Outcome::kMore:
      comeBackTo(session);
      break;
    case Forwarder::Outcome::kWait:
      break;
  }
  const Ending ending = endingOf(session);
  if (ending == Ending::kOpen) owner().handleActivity(session);
  if (ending != Ending::kOpen || (isEnding(session) && !session.ending)) owner().handleEnding(session, ending);
}

// What a backend sends to a client that is gone is read and dropped: the backend may read on only after that.
void EpollRelay::deliver(EpollSession& session) noexcept {
  if (session.client.fd >= 0) {
    (void)forwarder_.flush(session, Side::kClient);
    return;
  }
  (void)forwarder_.flush(session, Side::kBackend);
  forwarder_.drop(session, Side::kBackend);
  if (session.backend_end.readable) comeBackTo(session);
}

void EpollRelay::comeBackTo(EpollSession& session) noexcept {
  if (session.again_hook.is_linked()) return;
  if (again_.empty()) (void)::eventfd_write(again_fd_.get(), 1);
  again_.push_back(session);
}

void EpollRelay::runAgain() noexcept {
  eventfd_t ignored;
  (void)::eventfd_read(again_fd_.get(), &ignored);
  running_.swap(again_);
  while (!running_.empty()) {
    EpollSession& session = running_.front();
    running_.pop_front();
    if (session.state == Session::State::kRelaying) {
      run(session);
    } else if (session.state == Session::State::kDelivering) {
      deliver(session);
      owner().handleDelivery(session);
    }
  }
}

std::size_t EpollRelay::pending(const Session& session, Side side) const noexcept {
  const EpollEnd& end = static_cast<const EpollSession&>(session).end(side);
  return end.pending != nullptr ? end.pending_end - end.pending_at : 0;
}

void EpollRelay::close(Session& session, Side side, bool reset) noexcept {
  forwarder_.forget(own(session), side);
  Endpoint& endpoint = session.endpoint(side);
  if (endpoint.fd < 0) return;
  unwatch(endpoint);
  if (reset) resetOnClose(endpoint.fd);
  ::close(std::exchange(endpoint.fd, -1));
}

bool EpollRelay::forget(Session& session) noexcept {
  if (in_turn_) return false;
  auto& mine = own(session);
  if (mine.again_hook.is_linked()) again_.erase(again_.iterator_to(mine));
  return true;
}

}  // namespace lemonade::proxy
