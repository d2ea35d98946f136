// SPDX-License-Identifier: MIT
#include "proxy/epoll_relay.h"

#include "base/clock.h"
#include "proxy/socket_state.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <system_error>
#include <utility>

namespace lemonade::proxy {

namespace {

constexpr int kEventsAtOnce = 256;
constexpr int kWatchAgainMs = 100;  // what there was no memory for

// The lowest bit of a session's address says which side of it an event is about.
constexpr std::uintptr_t kClientSide = 0;
constexpr std::uintptr_t kBackendSide = 1;
// A descriptor that is no session's, shifted left, has this bit.
constexpr std::uint64_t kNoSession = std::uint64_t{1} << 63;

void remember(Endpoint& endpoint, std::uint32_t events) noexcept {
  if ((events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) endpoint.readable = !endpoint.ended;
  // Reads also stop short at urgent data.
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI)) != 0) endpoint.hung_up = true;
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) endpoint.writable = true;
  if ((events & EPOLLERR) != 0) endpoint.failed = true;
}

/// False where memory is out.
bool watchForInput(int epoll_fd, int fd, std::uint32_t how = 0) noexcept {
  epoll_event event{};
  event.events = EPOLLIN | how;
  event.data.u64 = kNoSession | static_cast<std::uint64_t>(fd);
  return ::epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

}  // namespace

EpollRelay::EpollRelay(Owner& owner, Meter& meter)
    : owner_(owner),
      forwarder_(buffers_, meter),
      epoll_(ownedFd(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      again_fd_(ownedFd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")) {
  if (!watchForInput(epoll_.get(), again_fd_.get()))
    throw std::system_error(errno, std::generic_category(), "epoll_ctl");
}

void EpollRelay::addGuest(int fd, Guest* guest) {
  visitors_.push_back({fd, guest, false});
  watchGuests();
}

void EpollRelay::removeGuest(int fd) noexcept {
  std::erase_if(visitors_, [fd](const auto& visitor) { return visitor.fd == fd; });
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

// At the end of the workers that wait for them.
void EpollRelay::watchGuests() noexcept {
  all_watched_ = true;
  for (auto& visitor : visitors_) {
    const std::uint32_t how = visitor.guest != nullptr ? std::uint32_t{EPOLLEXCLUSIVE} : 0;
    if (!visitor.watched) visitor.watched = watchForInput(epoll_.get(), visitor.fd, how);
    all_watched_ = all_watched_ && visitor.watched;
  }
}

bool EpollRelay::watch(Session& session, Endpoint& endpoint, std::uintptr_t side) noexcept {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.u64 = reinterpret_cast<std::uintptr_t>(&session) | side;
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, endpoint.fd, &event) == 0;
}

// Closing alone does not do: a child process that is being spawned holds the descriptor for an instant, and the set
// would go on telling of a session that is freed.
void EpollRelay::unwatch(const Endpoint& endpoint) noexcept {
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, endpoint.fd, nullptr);
}

bool EpollRelay::wait() noexcept {
  if (gather_ns_ != 0) {
    const timespec gather{0, static_cast<long>(gather_ns_)};
    (void)::nanosleep(&gather, nullptr);
  }
  epoll_event events[kEventsAtOnce];
  const int longest = leaving_ ? 0 : all_watched_ ? -1 : kWatchAgainMs;
  const int count = ::epoll_wait(epoll_.get(), events, kEventsAtOnce, longest);
  if (count == 0) watchGuests();
  if (count <= 0) return !leaving_ && (count == 0 || errno == EINTR);
  owner_.handleTurn(nowNs());
  bool ours = true;
  in_turn_ = true;
  for (int i = 0; i < count; ++i) ours = handleEvent(events[i]) && ours;
  in_turn_ = false;
  if (!all_watched_) watchGuests();
  gather_ns_ = coalescing_.endTurn(count);
  return ours;
}

// False where it is the reactor's.
bool EpollRelay::handleEvent(const epoll_event& event) noexcept {
  if ((event.data.u64 & kNoSession) != 0) return handleGuest(static_cast<int>(event.data.u64 & ~kNoSession));
  auto& session = *reinterpret_cast<Session*>(event.data.u64 & ~kBackendSide);
  handleSessionEvent(session, (event.data.u64 & kBackendSide) != 0, event.events);
  return true;
}

bool EpollRelay::handleGuest(int fd) noexcept {
  if (fd == again_fd_.get()) {
    runAgain();
    return true;
  }
  const auto found = std::find_if(visitors_.begin(), visitors_.end(), [fd](const auto& one) { return one.fd == fd; });
  if (found == visitors_.end()) return true;  // removed in this very turn
  Guest* const guest = found->guest;
  if (guest == nullptr) return false;
  // The kernel would go on waking whoever of the waiting workers came first.
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  all_watched_ = found->watched = false;
  guest->handleReadable();
  return true;
}

void EpollRelay::handleSessionEvent(Session& session, bool of_backend, std::uint32_t events) noexcept {
  if (session.state == Session::State::kClosed) return;
  remember(of_backend ? session.backend : session.client, events);
  switch (session.state) {
    case Session::State::kConnecting:
      if (of_backend) return handleConnecting(session, events);
      [[fallthrough]];
    case Session::State::kNoDescriptor:
    case Session::State::kPausing:
    case Session::State::kQueued:
      // Half-closed clients still want their answer; this one has been reset.
      if ((events & (EPOLLHUP | EPOLLERR)) != 0) owner_.handleAbandoned(session);
      return;
    case Session::State::kRelaying:
      return run(session);
    case Session::State::kDelivering:
      deliver(session);
      return owner_.handleDelivery(session);
    case Session::State::kClosed:
      return;
  }
}

bool EpollRelay::watchClient(Session& session) noexcept { return watch(session, session.client, kClientSide); }

void EpollRelay::setOption(int fd, int level, int name, int value) noexcept {
  lemonade::proxy::setOption(fd, level, name, value);
}

Relay::Connect EpollRelay::connect(Session& session, const Address& address) noexcept {
  const bool connected = ::connect(session.backend.fd, address.get(), address.size()) == 0;
  if (!connected && errno != EINPROGRESS) return Connect::kFailed;
  if (!watch(session, session.backend, kBackendSide)) return Connect::kFailed;
  session.backend.writable = connected;
  return connected ? Connect::kConnected : Connect::kConnecting;
}

void EpollRelay::handleConnecting(Session& session, std::uint32_t events) noexcept {
  const bool trouble = (events & (EPOLLERR | EPOLLHUP)) != 0;
  const int error = trouble ? socketError(session.backend.fd) : 0;
  if (error != 0) return owner_.handleConnectFailed(session, error);
  if ((events & EPOLLOUT) != 0) owner_.handleConnected(session);
}

void EpollRelay::dropBackend(Session& session) noexcept {
  close(session, session.backend, false);
  session.backend = Endpoint{};
}

void EpollRelay::run(Session& session) noexcept {
  switch (forwarder_.run(session)) {
    case Forwarder::Outcome::kNoMemory:
      return owner_.handleNoMemory(session);
    case Forwarder::Outcome::kMore:
      comeBackTo(session);
      break;
    case Forwarder::Outcome::kWait:
      break;
  }
  const Ending ending = endingOf(session);
  if (ending == Ending::kOpen) owner_.handleActivity(session);
  if (ending != Ending::kOpen || (isEnding(session) && !session.ending)) owner_.handleEnding(session, ending);
}

// What a backend sends to a client that is gone is read and dropped: the backend may read on only after that.
void EpollRelay::deliver(Session& session) noexcept {
  if (session.client.fd >= 0) {
    (void)forwarder_.flush(session.client);
    return;
  }
  (void)forwarder_.flush(session.backend);
  forwarder_.drop(session.backend);
  if (session.backend.readable) comeBackTo(session);
}

void EpollRelay::comeBackTo(Session& session) noexcept {
  if (std::exchange(session.again, true)) return;
  if (again_.empty()) (void)::eventfd_write(again_fd_.get(), 1);
  again_.push_back(session);
}

void EpollRelay::runAgain() noexcept {
  eventfd_t ignored;
  (void)::eventfd_read(again_fd_.get(), &ignored);
  running_.swap(again_);
  while (!running_.empty()) {
    Session& session = running_.front();
    running_.pop_front();
    session.again = false;
    if (session.state == Session::State::kRelaying) {
      run(session);
    } else if (session.state == Session::State::kDelivering) {
      deliver(session);
      owner_.handleDelivery(session);
    }
  }
}

std::size_t EpollRelay::pending(const Endpoint& endpoint) const noexcept {
  return endpoint.pending != nullptr ? endpoint.pending_end - endpoint.pending_at : 0;
}

void EpollRelay::close(Session&, Endpoint& endpoint, bool reset) noexcept {
  buffers_.give(std::move(endpoint.pending));
  if (endpoint.fd < 0) return;
  unwatch(endpoint);
  if (reset) resetOnClose(endpoint.fd);
  ::close(std::exchange(endpoint.fd, -1));
}

bool EpollRelay::forget(Session& session) noexcept {
  if (in_turn_) return false;  // a later event of the turn may be about it
  if (std::exchange(session.again, false)) again_.erase(again_.iterator_to(session));
  return true;
}

}  // namespace lemonade::proxy
