// SPDX-License-Identifier: MIT
#include "proxy/session_set.h"

#include "base/clock.h"

#include <algorithm>
#include <cerrno>
#include <new>
#include <utility>

namespace lemonade::proxy {

namespace {

constexpr std::uint64_t kDescriptorRetry = 50'000'000;
constexpr int kDescriptorRetries = 32;  // at a time: while there are none, each costs a search for one
constexpr std::uint64_t kQueueLook = 100'000'000;

}  // namespace

SessionSet::SessionSet(std::uint32_t worker, RelayKind relay, Pool& pool, const Settings& settings,
                       Admission& admission, Mailbox& mailbox)
    : settings_(settings),
      pool_(pool),
      admission_(admission),
      mailbox_(mailbox),
      meter_(worker, pool, mailbox.counters),
      relay_(makeRelay(relay, *this, meter_)),
      connector_(worker, pool, settings, meter_, *relay_) {}

SessionSet::~SessionSet() { closeAll(CloseReason::kDrain); }

void SessionSet::detach() noexcept {
  constexpr int kTurns = 100;  // what is closed is let go of within a few
  closeAll(CloseReason::kDrain);
  relay_->leave();
  for (int i = 0; i < kTurns && size_ != 0; ++i) (void)handleReady();
  relay_->detach();
  freeClosed();
}

void SessionSet::add(Fd client, const Address& address, std::uint16_t local_port) noexcept {
  auto* session = new (std::nothrow) Session;
  if (session == nullptr) {
    meter_.counters().no_memory.add();
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
  if (!relay_->watchClient(*session))
    close(*session, CloseReason::kNoMemory);
  else if (!queued_.empty() && pool_.eligibleCount() != 0)
    queue(*session);
  else
    proceed(*session, connector_.begin(*session, now_));
  freeClosed();
}

bool SessionSet::handleReady() noexcept {
  const bool ours = relay_->wait();
  freeClosed();
  return ours;
}

// Goes on with what an attempt to connect came to. The session is in the list of its state.
void SessionSet::proceed(Session& session, Connector::Outcome outcome) noexcept {
  switch (outcome) {
    case Connector::Outcome::kConnecting:
      return enter(session, Session::State::kConnecting, connecting_);
    case Connector::Outcome::kConnected:
      return handleConnected(session);
    case Connector::Outcome::kNoDescriptor:
      return enter(session, Session::State::kNoDescriptor, without_descriptor_);
    case Connector::Outcome::kPause:
      return pause(session);
    case Connector::Outcome::kQueue:
      return queue(session);
    case Connector::Outcome::kGiveUp:
      if (session.reason == CloseReason::kRejected) relay_->close(session, session.client, true);
      return close(session, session.reason);
  }
}

// Holds no place at a backend meanwhile. Where only its time in the queue lets it go on, that ends it.
void SessionSet::pause(Session& session) noexcept {
  const std::uint64_t queue_timeout = settings_.queue_timeout_ns.load(std::memory_order_relaxed);
  const bool until_it_leaves = !connector_.mayTryAgain(session, session.again_at);
  enter(session, Session::State::kPausing, pausing_,
        until_it_leaves ? session.queued_at + queue_timeout : session.again_at);
}

void SessionSet::queue(Session& session) noexcept {
  if (session.queued_at == 0) {
    session.queued_at = now_;
    meter_.counters().queued_total.add();
  }
  if (now_ - session.queued_at >= settings_.queue_timeout_ns.load(std::memory_order_relaxed))
    return leaveQueue(session);
  enter(session, Session::State::kQueued, queued_, session.queued_at);
  if (session.again_at > now_ && (look_at_ == 0 || session.again_at < look_at_)) look_at_ = session.again_at;
  meter_.counters().queued.add();
  pool_.startQueueing();
  // A place that became free since the pick has told nobody.
  (void)servePlaces();
}

void SessionSet::leaveQueue(Session& session) noexcept {
  meter_.counters().queue_timeouts.add();
  close(session, CloseReason::kQueueTimeout);
}

// True where one of them took a place.
bool SessionSet::servePlaces() noexcept {
  bool served = false;
  for (Session *session = queued_.front(), *next = nullptr; session != nullptr; session = next) {
    next = session->next;
    const auto outcome = connector_.begin(*session, now_);
    if (outcome != Connector::Outcome::kQueue) {
      served = served || session->target != nullptr;
      proceed(*session, outcome);
    } else if (session->tried.get().empty()) {
      break;  // one that has failed somewhere waits for fewer backends than those behind it
    }
  }
  return served;
}

// Those in the queue whom a backend failed a while ago may have it again. What follows within kQueueLook is looked at
// together.
void SessionSet::lookAtQueue() noexcept {
  look_at_ = 0;
  for (Session *session = queued_.front(), *next = nullptr; session != nullptr; session = next) {
    next = session->next;
    if (session->tried.get().empty()) continue;
    if (session->again_at > now_) {
      const std::uint64_t at = std::max(session->again_at, now_ + kQueueLook);
      if (look_at_ == 0 || at < look_at_) look_at_ = at;
    } else if (const auto outcome = connector_.begin(*session, now_); outcome != Connector::Outcome::kQueue) {
      proceed(*session, outcome);
    }
  }
}

void SessionSet::handlePlaces() noexcept {
  const std::uint64_t offered = mailbox_.place_offered.exchange(0);
  now_ = nowNs();
  const bool served = servePlaces();
  freeClosed();
  // Whoever it was for may have left, have failed there before, or be kept for another backend by the strategy.
  if (offered != 0 && !served && pool_.hasPlace()) pool_.passPlaceOn(offered);
}

void SessionSet::handleConnectFailed(Session& session, int error) noexcept {
  proceed(session, connector_.retry(session, error, now_));
}

void SessionSet::handleConnected(Session& session) noexcept {
  meter_.connected(session, nowNs());
  enter(session, Session::State::kRelaying, relaying_);
  relay_->start(session);
}

void SessionSet::handleAbandoned(Session& session) noexcept {
  meter_.abandoned(session, now_);
  meter_.counters().abandoned.add();
  close(session, CloseReason::kAbandoned);
}

void SessionSet::close(Session& session, CloseReason reason) noexcept {
  const bool broken_off = session.state == Session::State::kDelivering && session.reason != CloseReason::kDone;
  session.reason = reason;
  Drains::forget(session);
  // The strategy hears of the end of every pick; the others of a connecting session have been told.
  if (session.state == Session::State::kConnecting && reason == CloseReason::kDrain) meter_.abandoned(session, now_);
  if (session.client.fd >= 0) noteSent(session);
  meter_.closed(session, nowNs());
  // What is cut short must not look complete: an answer, and a request that was taken and has reached no backend.
  const bool owed_answer = reason != CloseReason::kDone && session.in_exchange;
  const bool unserved = session.connected_at == 0 && session.backend.isOwed();
  relay_->close(session, session.client, broken_off || session.client.isOwed() || owed_answer || unserved);
  relay_->close(session, session.backend, broken_off || session.backend.isOwed());
  if (session.target != nullptr) pool_.release(*std::exchange(session.target, nullptr));
  enter(session, Session::State::kClosed, closed_);
}

// Events of the same turn may still point at a closed session, so it is freed only after the turn.
void SessionSet::freeClosed() noexcept {
  for (Session *session = closed_.front(), *next = nullptr; session != nullptr; session = next) {
    next = session->next;
    if (!relay_->forget(*session)) continue;
    closed_.remove(*session);
    delete session;
    --size_;
    meter_.counters().sessions.subtract();
    admission_.leave();
  }
}

SessionList& SessionSet::listOf(const Session& session) noexcept {
  switch (session.state) {
    case Session::State::kConnecting:
      return connecting_;
    case Session::State::kNoDescriptor:
      return without_descriptor_;
    case Session::State::kPausing:
      return pausing_;
    case Session::State::kQueued:
      return queued_;
    case Session::State::kRelaying:
      return session.ending ? ending_ : relaying_;
    case Session::State::kDelivering:
      return delivering_;
    case Session::State::kClosed:
      return closed_;
  }
  return closed_;
}

void SessionSet::enter(Session& session, Session::State state, SessionList& list) noexcept {
  enter(session, state, list, now_);
}

void SessionSet::enter(Session& session, Session::State state, SessionList& list, std::uint64_t since) noexcept {
  listOf(session).remove(session);
  const bool was_queued = session.state == Session::State::kQueued;
  session.state = state;
  list.insert(session, since);
  if (was_queued || state == Session::State::kQueued)
    mailbox_.queued_since.store(queued_.empty() ? 0 : queued_.front()->queued_at);
  if (!was_queued) return;
  meter_.counters().queued.subtract();
  pool_.stopQueueing();
}

// A session is listed anew only a 64th of the timeout after it last was: that much later it may be closed, never
// earlier.
void SessionSet::handleActivity(Session& session) noexcept {
  session.active_at = now_;
  session.left = 0;
  session.acknowledged = false;
  const std::uint64_t timeout =
      session.ending ? endingLook() : settings_.idle_timeout_ns.load(std::memory_order_relaxed);
  if (now_ - session.listed_at > timeout / 64) listOf(session).moveToBack(session, now_);
}

void SessionSet::handleDue(std::uint64_t now) noexcept {
  now_ = now;
  const std::uint64_t connect_timeout = settings_.connect_timeout_ns.load(std::memory_order_relaxed);
  while (Session* session = connecting_.front()) {
    if (now - session->listed_at < connect_timeout) break;
    handleConnectFailed(*session, ETIMEDOUT);
  }
  while (Session* session = pausing_.front()) {
    if (now < session->listed_at) break;
    connector_.mayTryAgain(*session, now) ? proceed(*session, connector_.begin(*session, now)) : leaveQueue(*session);
  }
  handleShortage(now);
  if (look_at_ != 0 && now >= look_at_) lookAtQueue();
  const std::uint64_t queue_timeout = settings_.queue_timeout_ns.load(std::memory_order_relaxed);
  while (Session* session = queued_.front()) {
    if (now - session->listed_at < queue_timeout) break;
    leaveQueue(*session);
  }
  handleEnds(now);
  handleDrains(now);
  freeClosed();
}

// Over io_uring it turns out only later that there is no source port: so many are tried, and the rest next time.
void SessionSet::handleShortage(std::uint64_t now) noexcept {
  if (now < shortage_until_) return;
  bool lasts = false;
  for (int n = 0; n < kDescriptorRetries && !lasts && !without_descriptor_.empty(); ++n) {
    Session& session = *without_descriptor_.front();
    if (now - session.listed_at < kDescriptorRetry) return;
    const auto outcome = connector_.begin(session, now);
    lasts = outcome == Connector::Outcome::kNoDescriptor;
    proceed(session, outcome);
  }
  shortage_until_ = now + kDescriptorRetry;
}

void SessionSet::handleDrains(std::uint64_t now) noexcept {
  while (Drain* drain = drains_.begin(now))
    for (auto* list : {&connecting_, &without_descriptor_, &pausing_, &queued_, &relaying_, &ending_, &delivering_})
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
  if (!without_descriptor_.empty()) {
    const std::uint64_t at = std::max(without_descriptor_.front()->listed_at + kDescriptorRetry, shortage_until_);
    if (due == 0 || at < due) due = at;
  }
  consider(pausing_, 0);
  if (look_at_ != 0 && (due == 0 || look_at_ < due)) due = look_at_;
  consider(queued_, settings_.queue_timeout_ns.load(std::memory_order_relaxed));
  if (const auto idle = settings_.idle_timeout_ns.load(std::memory_order_relaxed); idle != 0)
    consider(relaying_, idle + idle / 64);
  consider(ending_, endingLook());
  if (const std::uint64_t at = nextLook(); at != 0 && (due == 0 || at < due)) due = at;
  return due;
}

void SessionSet::closeAll(CloseReason reason) noexcept {
  now_ = nowNs();
  for (auto* list : {&connecting_, &without_descriptor_, &pausing_, &queued_, &relaying_, &ending_, &delivering_})
    while (Session* session = list->front()) close(*session, reason);
  freeClosed();
}

}  // namespace lemonade::proxy
