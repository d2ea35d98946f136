// SPDX-License-Identifier: MIT
#include "proxy/session_set.h"

#include "base/clock.h"
#include "base/log.h"

#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <ctime>
#include <new>
#include <system_error>
#include <utility>

namespace lemonade::proxy {

namespace {

constexpr int kBatch = 256;
constexpr std::uint64_t kDescriptorRetry = 50'000'000;
constexpr std::uint64_t kResetCheck = 5'000'000;
constexpr std::uint64_t kResetLimit = 5'000'000'000;

// The lowest bit of an event's pointer says which side of the session it is about.
constexpr std::uintptr_t kClientSide = 0;
constexpr std::uintptr_t kBackendSide = 1;

// What is no session.
constexpr std::uint64_t kAgain = 0;
constexpr std::uint64_t kGuest = 1;

int socketError(int fd) noexcept {
  int error = 0;
  socklen_t size = sizeof(error);
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

void remember(Endpoint& endpoint, std::uint32_t events) noexcept {
  if ((events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) endpoint.readable = !endpoint.ended;
  // Reads also stop short at urgent data.
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI)) != 0) endpoint.hung_up = true;
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) endpoint.writable = true;
  if ((events & EPOLLERR) != 0) endpoint.failed = true;
}

void watchForInput(int epoll_fd, int fd, std::uint64_t what) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = what;
  if (::epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
    throw std::system_error(errno, std::generic_category(), "epoll_ctl");
}

/// Nothing that was written still waits in the kernel for the peer.
bool allSent(int fd) noexcept {
  int waiting = 0;
  return ::ioctl(fd, SIOCOUTQ, &waiting) != 0 || waiting == 0;
}

}  // namespace

SessionSet::SessionSet(std::uint32_t worker, Pool& pool, const Settings& settings, Admission& admission,
                       ProxyCounters& counters)
    : settings_(settings),
      pool_(pool),
      admission_(admission),
      meter_(worker, pool, counters),
      connector_(worker, pool, settings, meter_),
      relay_(buffers_, meter_),
      epoll_(ownedFd(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      again_fd_(ownedFd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")) {
  watchForInput(epoll_.get(), again_fd_.get(), kAgain);
}

SessionSet::~SessionSet() { closeAll(CloseReason::kDrain); }

void SessionSet::addGuest(int fd) { watchForInput(epoll_.get(), fd, kGuest); }

void SessionSet::removeGuest(int fd) noexcept { (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

void SessionSet::add(Fd client, const Address& address, std::uint16_t local_port) noexcept {
  auto* session = new (std::nothrow) Session;
  if (session == nullptr) {
    admission_.leave();
    return;
  }
  now_ = nowNs();
  session->client.fd = client.release();
  session->client_address = address;
  session->local_port = local_port;
  session->accepted_at = session->active_at = now_;
  ++size_;
  meter_.counters().accepted.add();
  meter_.counters().sessions.add();
  connecting_.pushBack(*session, now_);
  if (!watch(*session, session->client, kClientSide))
    close(*session, CloseReason::kNoMemory);
  else if (!queued_.empty())
    queue(*session);
  else
    proceed(*session, connector_.begin(*session, now_));
  freeClosed();
}

bool SessionSet::watch(Session& session, Endpoint& endpoint, std::uintptr_t side) noexcept {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.u64 = reinterpret_cast<std::uintptr_t>(&session) | side;
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, endpoint.fd, &event) == 0;
}

// Closing alone does not do: a child process that is being spawned holds the descriptor for an instant, and the set would
// go on telling of a session that is freed.
void SessionSet::unwatch(const Endpoint& endpoint) noexcept {
  if (endpoint.fd >= 0) (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, endpoint.fd, nullptr);
}

void SessionSet::closeFd(Endpoint& endpoint) noexcept {
  unwatch(endpoint);
  if (endpoint.fd >= 0) ::close(std::exchange(endpoint.fd, -1));
}

void SessionSet::closeWithReset(Endpoint& endpoint) noexcept {
  const linger now{1, 0};
  if (endpoint.fd >= 0) (void)::setsockopt(endpoint.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  closeFd(endpoint);
}

bool SessionSet::handleReady() noexcept {
  if (gather_ns_ != 0 && size_ != 0) {
    const timespec gather{0, static_cast<long>(gather_ns_)};
    (void)::nanosleep(&gather, nullptr);
  }
  epoll_event events[kBatch];
  const int count = ::epoll_wait(epoll_.get(), events, kBatch, size_ != 0 ? -1 : 0);
  if (count <= 0) return count < 0 && errno == EINTR;
  now_ = nowNs();
  coalescing_.beginTurn(now_);
  bool ours = true;
  for (int i = 0; i < count; ++i) ours = handleEvent(events[i]) && ours;
  freeClosed();
  gather_ns_ = coalescing_.endTurn(nowNs(), count);
  return ours;
}

// False where it is the reactor's.
bool SessionSet::handleEvent(const epoll_event& event) noexcept {
  if (event.data.u64 == kGuest) return false;
  if (event.data.u64 == kAgain) {
    runAgain();
    return true;
  }
  auto& session = *reinterpret_cast<Session*>(event.data.u64 & ~kBackendSide);
  handleSessionEvent(session, (event.data.u64 & kBackendSide) != 0, event.events);
  return true;
}

void SessionSet::handleSessionEvent(Session& session, bool of_backend, std::uint32_t events) noexcept {
  if (session.state == Session::State::kClosed) return;
  remember(of_backend ? session.backend : session.client, events);
  switch (session.state) {
    case Session::State::kConnecting:
      if (of_backend) return handleConnecting(session, events);
      [[fallthrough]];
    case Session::State::kWaiting:
    case Session::State::kQueued:
      // Half-closed clients still want their answer; this one has been reset.
      if ((events & (EPOLLHUP | EPOLLERR)) != 0) abandon(session);
      return;
    case Session::State::kRelaying: return relay(session);
    case Session::State::kResetting: (void)finishReset(session, now_); return;
    case Session::State::kClosed: return;
  }
}

// Goes on with what an attempt to connect came to. The session is in the list of its state.
void SessionSet::proceed(Session& session, Connector::Outcome outcome) noexcept {
  switch (outcome) {
    case Connector::Outcome::kConnecting:
    case Connector::Outcome::kConnected:
      if (!watch(session, session.backend, kBackendSide)) return close(session, CloseReason::kNoMemory);
      enter(session, Session::State::kConnecting, connecting_);
      if (outcome == Connector::Outcome::kConnected) {
        session.backend.writable = true;
        startRelaying(session);
      }
      return;
    case Connector::Outcome::kWait: return enter(session, Session::State::kWaiting, waiting_);
    case Connector::Outcome::kQueue: return queue(session);
    case Connector::Outcome::kGiveUp:
      if (session.reason == CloseReason::kRejected) closeWithReset(session.client);
      return close(session, session.reason);
  }
}

void SessionSet::queue(Session& session) noexcept {
  if (session.queued_at == 0) session.queued_at = now_;
  if (now_ - session.queued_at >= settings_.queue_timeout_ns.load(std::memory_order_relaxed)) return leaveQueue(session);
  enter(session, Session::State::kQueued, queued_);
  meter_.counters().queued.add();
  meter_.counters().queued_total.add();
  pool_.startWaiting();
  // A place that became free since the pick has told nobody.
  servePlaces();
}

void SessionSet::leaveQueue(Session& session) noexcept {
  meter_.counters().queue_timeouts.add();
  close(session, CloseReason::kQueueTimeout);
}

void SessionSet::servePlaces() noexcept {
  for (Session *session = queued_.front(), *next = nullptr; session != nullptr; session = next) {
    next = session->next;
    const auto outcome = connector_.begin(*session, now_);
    if (outcome != Connector::Outcome::kQueue)
      proceed(*session, outcome);
    else if (session->tried.get().empty())
      return;  // one that has failed somewhere waits for fewer backends than those behind it
  }
}

void SessionSet::handlePlaces() noexcept {
  if (queued_.empty()) return;
  now_ = nowNs();
  servePlaces();
  freeClosed();
}

void SessionSet::retry(Session& session, int error) noexcept {
  unwatch(session.backend);
  proceed(session, connector_.retry(session, error, now_));
}

void SessionSet::handleConnecting(Session& session, std::uint32_t events) noexcept {
  const bool trouble = (events & (EPOLLERR | EPOLLHUP)) != 0;
  const int error = trouble ? socketError(session.backend.fd) : 0;
  if (error != 0) return retry(session, error);
  if ((events & EPOLLOUT) != 0) startRelaying(session);
}

void SessionSet::startRelaying(Session& session) noexcept {
  meter_.connected(session, nowNs());
  enter(session, Session::State::kRelaying, relaying_);
  relay(session);
}

void SessionSet::relay(Session& session) noexcept {
  const Relay::Outcome outcome = relay_.run(session);
  switch (outcome) {
    case Relay::Outcome::kMore:
      if (!session.again) {
        session.again = true;
        again_.push_back(&session);
        if (again_.size() == 1) (void)::eventfd_write(again_fd_.get(), 1);
      }
      [[fallthrough]];
    case Relay::Outcome::kOpen: return touch(session);
    case Relay::Outcome::kDone: return close(session, CloseReason::kDone);
    case Relay::Outcome::kClientReset: return reset(session, CloseReason::kClientReset);
    case Relay::Outcome::kBackendReset: return reset(session, CloseReason::kBackendReset);
    case Relay::Outcome::kNoMemory: return close(session, CloseReason::kNoMemory);
  }
}

void SessionSet::runAgain() noexcept {
  eventfd_t ignored;
  (void)::eventfd_read(again_fd_.get(), &ignored);
  running_.swap(again_);
  for (auto* session : running_) {
    session->again = false;
    if (session->state == Session::State::kRelaying) relay(*session);
  }
  running_.clear();
}

// Passes a reset on: the side that broke is closed, the other gets what is still under way to it and then a reset.
void SessionSet::reset(Session& session, CloseReason reason) noexcept {
  session.reason = reason;
  closeFd(reason == CloseReason::kClientReset ? session.client : session.backend);
  enter(session, Session::State::kResetting, resetting_);
  (void)finishReset(session, now_);
}

bool SessionSet::finishReset(Session& session, std::uint64_t now) noexcept {
  Endpoint& survivor = session.client.fd >= 0 ? session.client : session.backend;
  const bool sent = survivor.failed || (relay_.flush(survivor) && allSent(survivor.fd));
  if (!sent && now - session.listed_at < kResetLimit) return false;
  closeWithReset(survivor);
  close(session, session.reason);
  return true;
}

void SessionSet::abandon(Session& session) noexcept {
  meter_.abandoned(session, now_);
  meter_.counters().abandoned.add();
  close(session, CloseReason::kAbandoned);
}

void SessionSet::close(Session& session, CloseReason reason) noexcept {
  session.reason = reason;
  Drains::forget(session);
  const bool cut_short = reason != CloseReason::kDone && (session.client.pending != nullptr || session.waiting);
  meter_.closed(session, nowNs());
  // An answer that is cut short must not look complete.
  cut_short ? closeWithReset(session.client) : closeFd(session.client);
  closeFd(session.backend);
  buffers_.give(std::move(session.client.pending));
  buffers_.give(std::move(session.backend.pending));
  if (session.target != nullptr) pool_.release(*std::exchange(session.target, nullptr));
  enter(session, Session::State::kClosed, closed_);
}

// Events of the same batch may still point at a closed session, so it is freed only after the batch.
void SessionSet::freeClosed() noexcept {
  while (Session* session = closed_.front()) {
    closed_.remove(*session);
    if (session->again) std::erase(again_, session);
    delete session;
    --size_;
    meter_.counters().sessions.subtract();
    admission_.leave();
  }
}

SessionList& SessionSet::listOf(Session::State state) noexcept {
  switch (state) {
    case Session::State::kConnecting: return connecting_;
    case Session::State::kWaiting: return waiting_;
    case Session::State::kQueued: return queued_;
    case Session::State::kRelaying: return relaying_;
    case Session::State::kResetting: return resetting_;
    case Session::State::kClosed: return closed_;
  }
  return closed_;
}

void SessionSet::enter(Session& session, Session::State state, SessionList& list) noexcept {
  listOf(session.state).remove(session);
  if (session.state == Session::State::kQueued) {
    meter_.counters().queued.subtract();
    pool_.stopWaiting();
  }
  session.state = state;
  list.pushBack(session, now_);
}

// A session is listed anew only a 64th of the timeout after it last was: that much later it may be closed, never earlier.
void SessionSet::touch(Session& session) noexcept {
  session.active_at = now_;
  const std::uint64_t timeout = settings_.idle_timeout_ns.load(std::memory_order_relaxed);
  if (now_ - session.listed_at > timeout / 64) relaying_.moveToBack(session, now_);
}

void SessionSet::handleDue(std::uint64_t now) noexcept {
  now_ = now;
  const std::uint64_t connect_timeout = settings_.connect_timeout_ns.load(std::memory_order_relaxed);
  while (Session* session = connecting_.front()) {
    if (now - session->listed_at < connect_timeout) break;
    retry(*session, ETIMEDOUT);
  }
  while (Session* session = waiting_.front()) {
    if (now - session->listed_at < kDescriptorRetry) break;
    proceed(*session, connector_.begin(*session, now));
  }
  const std::uint64_t queue_timeout = settings_.queue_timeout_ns.load(std::memory_order_relaxed);
  while (Session* session = queued_.front()) {
    if (now - session->listed_at < queue_timeout) break;
    leaveQueue(*session);
  }
  const std::uint64_t idle_timeout = settings_.idle_timeout_ns.load(std::memory_order_relaxed);
  while (Session* session = idle_timeout != 0 ? relaying_.front() : nullptr) {
    if (now - session->listed_at < idle_timeout + idle_timeout / 64) break;
    if (now - session->active_at < idle_timeout)
      relaying_.moveToBack(*session, session->active_at);
    else
      close(*session, CloseReason::kIdleTimeout);
  }
  for (Session *session = resetting_.front(), *next = nullptr; session != nullptr; session = next) {
    next = session->next;
    (void)finishReset(*session, now);
  }
  handleDrains(now);
  freeClosed();
}

void SessionSet::handleDrains(std::uint64_t now) noexcept {
  while (Drain* drain = drains_.begin(now))
    for (auto* list : {&connecting_, &waiting_, &queued_, &relaying_, &resetting_})
      for (Session* session = list->front(); session != nullptr; session = session->next)
        if (drain->concerns(*session)) drains_.join(*drain, *session);
  while (Session* session = drains_.next(now)) close(*session, CloseReason::kDrain);
}

std::uint64_t SessionSet::nextDue() const noexcept {
  std::uint64_t due = drains_.nextDue();
  const auto consider = [&due](const SessionList& list, std::uint64_t after) {
    if (list.empty()) return;
    const std::uint64_t at = list.front()->listed_at + after;
    if (due == 0 || at < due) due = at;
  };
  consider(connecting_, settings_.connect_timeout_ns.load(std::memory_order_relaxed));
  consider(waiting_, kDescriptorRetry);
  consider(queued_, settings_.queue_timeout_ns.load(std::memory_order_relaxed));
  if (const auto idle = settings_.idle_timeout_ns.load(std::memory_order_relaxed); idle != 0)
    consider(relaying_, idle + idle / 64);
  if (!resetting_.empty()) {
    const std::uint64_t at = now_ + kResetCheck;
    if (due == 0 || at < due) due = at;
  }
  return due;
}

void SessionSet::closeAll(CloseReason reason) noexcept {
  now_ = nowNs();
  for (auto* list : {&connecting_, &waiting_, &queued_, &relaying_, &resetting_})
    while (Session* session = list->front()) close(*session, reason);
  freeClosed();
}

}  // namespace lemonade::proxy
