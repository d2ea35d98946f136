// SPDX-License-Identifier: MIT
#include "proxy/session_set.h"

#include "proxy/recording.h"

#include <algorithm>
#include <cerrno>
#include <new>
#include <utility>

namespace lemonade::proxy {

namespace {

constexpr std::uint64_t kQueueLook = 100'000'000;

}  // namespace

SessionSet::SessionSet(std::uint32_t worker, Relay& relay, Meter& meter, const std::atomic<std::uint32_t>& serving,
                       Mailbox& mailbox, const Clock& clock)
    : worker_(worker),
      mailbox_(mailbox),
      meter_(meter),
      relay_(relay),
      clock_(clock),
      connector_(worker, serving, meter, relay) {
  relay_.setOwner(*this);
}

SessionSet::~SessionSet() { closeAll(CloseReason::kDrain); }

void SessionSet::end() noexcept {
  constexpr int kTurns = 100;  // what is closed is let go of within a few
  closeAll(CloseReason::kDrain);
  relay_.leave();
  for (int i = 0; i < kTurns && size_ != 0; ++i) {
    relay_.wait();
    freeClosed();
  }
  relay_.detach();
  freeClosed();
}

void SessionSet::add(Fd client, const Address& address, std::uint16_t local_port, Listener& listener,
                     const Address& destination, const Address& peer) noexcept {
  PoolSessions* const at_pool = poolSessions(listener.pool());
  Session* const made = at_pool != nullptr ? relay_.take(std::move(client)) : nullptr;
  if (made == nullptr) {
    listener.at(worker_).counters.no_memory.add();
    return listener.admission().leave();
  }
  Session& session = *made;
  enlist(session, listener, *at_pool);
  now_ = clock_.nowNs();
  session.client_address = address;
  session.local_port = local_port;
  if (destination.family() != AF_UNSPEC) session.destination.reset(new (std::nothrow) const Address(destination));
  if (peer.family() != AF_UNSPEC && mailbox_.records.wanted())
    session.peer.reset(new (std::nothrow) const Address(peer));
  session.accepted_at = session.active_at = now_;
  at_pool->connecting.pushBack(session, now_);
  if (!at_pool->queued.empty() && at_pool->pool.eligibleCount() != 0)
    queue(session);
  else
    proceed(session, connector_.begin(session, now_));
  freeClosed();
}

// What this worker keeps of a pool; null where memory is out.
PoolSessions* SessionSet::poolSessions(Pool& pool) noexcept {
  PoolAtWorker& at = pool.at(worker_);
  if (at.attached == nullptr) at.attached.reset(new (std::nothrow) PoolSessions(pool, at));
  return static_cast<PoolSessions*>(at.attached.get());
}

// The session gets its listener and its pool, and is counted there.
void SessionSet::enlist(Session& session, Listener& listener, PoolSessions& at_pool) noexcept {
  session.pool = &at_pool.pool;
  session.at_pool = &at_pool;
  session.listener = &listener;
  session.at_listener = &listener.at(worker_);
  session.at_listener->listener = &listener;
  auto& of_pool = at_pool.at.counters;
  auto& of_listener = session.at_listener->counters;
  if (at_pool.relayed++ == 0) pools_.push_back(at_pool);
  if (session.at_listener->relayed++ == 0) listeners_.push_back(*session.at_listener);
  for (Counter* counter : {&of_pool.clients, &of_pool.sessions, &of_listener.accepted, &of_listener.sessions,
                           &mailbox_.counters.accepted, &mailbox_.counters.sessions})
    counter->add();
  ++size_;
}

// The last that is done for a session: from here on its pool and its listener may come to an end.
void SessionSet::delist(Session& session) noexcept {
  auto& of_pool = session.at_pool->at.counters;
  auto& of_listener = session.at_listener->counters;
  for (Counter* counter : {&of_pool.sessions, &of_listener.sessions, &mailbox_.counters.sessions}) counter->subtract();
  if (--session.at_pool->relayed == 0) pools_.erase(pools_.iterator_to(*session.at_pool));
  if (--session.at_listener->relayed == 0) listeners_.erase(listeners_.iterator_to(*session.at_listener));
  --size_;
  session.listener->admission().leave();
}

// Goes on with what an attempt to connect came to. The session is in the list of its state.
void SessionSet::proceed(Session& session, Connector::Outcome outcome) noexcept {
  switch (outcome) {
    case Connector::Outcome::kConnecting:
      return enter(session, Session::State::kConnecting);
    case Connector::Outcome::kConnected:
      return handleConnected(session);
    case Connector::Outcome::kNoDescriptor:
      return enter(session, Session::State::kNoDescriptor);
    case Connector::Outcome::kPause:
      return pause(session);
    case Connector::Outcome::kQueue:
      return queue(session);
    case Connector::Outcome::kGiveUp:
      if (session.reason == CloseReason::kRejected) relay_.close(session, Side::kClient, true);
      return close(session, session.reason);
  }
}

// Holds no place at a backend meanwhile. Where only its time in the queue lets it go on, that ends it.
void SessionSet::pause(Session& session) noexcept {
  const std::uint64_t queue_timeout = session.pool->settings().queue_timeout_ns.load(std::memory_order_relaxed);
  const bool until_it_leaves = !Connector::mayTryAgain(session, session.again_at);
  enter(session, Session::State::kPausing, until_it_leaves ? session.queued_at + queue_timeout : session.again_at);
}

void SessionSet::queue(Session& session) noexcept {
  PoolSessions& at_pool = *session.at_pool;
  if (session.queued_at == 0) {
    session.queued_at = now_;
    at_pool.at.counters.queued_total.add();
  }
  if (now_ - session.queued_at >= session.pool->settings().queue_timeout_ns.load(std::memory_order_relaxed))
    return close(session, CloseReason::kQueueTimeout);
  enter(session, Session::State::kQueued, session.queued_at);
  if (session.again_at > now_) {
    if (at_pool.look_at == 0 || session.again_at < at_pool.look_at) at_pool.look_at = session.again_at;
    noteDue(at_pool.look_at);
  }
  at_pool.at.counters.queued.add();
  at_pool.pool.startQueueing();
  // A place that became free since the pick has told nobody.
  (void)servePlaces(at_pool);
}

// True where one of them took a place.
bool SessionSet::servePlaces(PoolSessions& at_pool) noexcept {
  bool served = false;
  for (Session *session = at_pool.queued.front(), *next = nullptr; session != nullptr; session = next) {
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
void SessionSet::lookAtQueue(PoolSessions& at_pool) noexcept {
  at_pool.look_at = 0;
  for (Session *session = at_pool.queued.front(), *next = nullptr; session != nullptr; session = next) {
    next = session->next;
    if (session->tried.get().empty()) continue;
    if (session->again_at > now_) {
      const std::uint64_t at = std::max(session->again_at, now_ + kQueueLook);
      if (at_pool.look_at == 0 || at < at_pool.look_at) at_pool.look_at = at;
    } else if (const auto outcome = connector_.begin(*session, now_); outcome != Connector::Outcome::kQueue) {
      proceed(*session, outcome);
    }
  }
}

void SessionSet::handlePlaces() noexcept {
  now_ = clock_.nowNs();
  mailbox_.offers.takeAll([this](PoolAtWorker& at, std::uint64_t offered) {
    auto& at_pool = static_cast<PoolSessions&>(*at.attached);
    const bool served = servePlaces(at_pool);
    // The session may have left, have failed there before, or be kept for another backend by the strategy.
    if (!served && at_pool.pool.hasPlace()) at_pool.pool.offerPlace(offered);
  });
  for (auto next = queueing_.begin(); next != queueing_.end();) {
    PoolSessions& at_pool = *next++;  // which may leave the list
    const std::uint64_t serial = at_pool.pool.serial();
    if (std::exchange(at_pool.served_serial, serial) != serial) (void)servePlaces(at_pool);
  }
  freeClosed();
}

void SessionSet::handleConnectFailed(Session& session, int error) noexcept {
  proceed(session, connector_.retry(session, error, now_));
}

void SessionSet::handleConnected(Session& session) noexcept {
  if (!connector_.introduce(session)) return handleConnectFailed(session, errno);
  meter_.connected(session, clock_.nowNs());
  enter(session, Session::State::kRelaying);
  relay_.start(session);
}

void SessionSet::handleAbandoned(Session& session) noexcept {
  meter_.abandoned(session, now_);
  close(session, CloseReason::kAbandoned);
}

void SessionSet::close(Session& session, CloseReason reason) noexcept {
  if (session.state == Session::State::kParted) return handleParted(session, false);
  const bool broken_off = session.state == Session::State::kDelivering && session.reason != CloseReason::kDone;
  session.reason = reason;
  Drains::forget(session);
  // The strategy hears of the end of every pick; the others of a connecting session have been told.
  if (session.state == Session::State::kConnecting && reason == CloseReason::kDrain) meter_.abandoned(session, now_);
  account(session);
  // What is cut short must not look complete: an answer, and a request that was taken and has reached no backend.
  const bool owed_answer = reason != CloseReason::kDone && session.in_exchange;
  const bool unserved = session.connected_at == 0 && session.backend.isOwed();
  relay_.close(session, Side::kClient, broken_off || session.client.isOwed() || owed_answer || unserved);
  relay_.close(session, Side::kBackend, broken_off || session.backend.isOwed());
  if (session.target != nullptr) releasePlace(session);
  enter(session, Session::State::kClosed);
}

// The session is over, for session.reason: all who count hear of it, once. Its sockets are as they were at its end.
void SessionSet::account(Session& session) noexcept {
  if (session.client.fd >= 0) noteSent(session);
  if (session.backend.fd >= 0 && session.connected_at != 0) noteTaken(session);
  const std::uint64_t ended_at = clock_.nowNs();
  meter_.closed(session, ended_at);
  if (mailbox_.records.wanted()) mailbox_.records.put(recordOf(session, ended_at));
}

void SessionSet::releasePlace(Session& session) noexcept {
  session.pool->release(*std::exchange(session.target, nullptr));
}

// Events of the same turn may still point at a closed session, so it is freed only after the turn.
void SessionSet::freeClosed() noexcept {
  for (Session *session = closed_.front(), *next = nullptr; session != nullptr; session = next) {
    next = session->next;
    if (!relay_.forget(*session)) continue;
    closed_.remove(*session);
    delist(*session);
    relay_.free(*session);
  }
}

SessionList& SessionSet::listOf(const Session& session) noexcept {
  switch (session.state) {
    case Session::State::kConnecting:
      return session.at_pool->connecting;
    case Session::State::kNoDescriptor:
      return without_descriptor_;
    case Session::State::kPausing:
      return session.at_pool->pausing;
    case Session::State::kQueued:
      return session.at_pool->queued;
    case Session::State::kRelaying:
      return session.ending ? session.at_listener->ending : session.at_listener->relaying;
    case Session::State::kDelivering:
      return delivering_;
    case Session::State::kParted:
      return parted_;
    case Session::State::kClosed:
      return closed_;
  }
  return closed_;
}

void SessionSet::enter(Session& session, Session::State state, std::uint64_t since) noexcept {
  const bool was_queued = session.state == Session::State::kQueued;
  listOf(session).remove(session);
  session.state = state;
  listOf(session).insert(session, since);
  noteDue(dueOf(session, since));
  if (!was_queued && state != Session::State::kQueued) return;
  PoolSessions& at_pool = *session.at_pool;
  const bool queueing = !at_pool.queued.empty();
  at_pool.at.queued_since.store(queueing ? at_pool.queued.front()->queued_at : 0);
  if (queueing && !at_pool.queueing_hook.is_linked()) queueing_.push_back(at_pool);
  if (!queueing && at_pool.queueing_hook.is_linked()) queueing_.erase(queueing_.iterator_to(at_pool));
  if (!was_queued) return;
  at_pool.at.counters.queued.subtract();
  at_pool.pool.stopQueueing();
}

// A session is listed anew only a 64th of the timeout after it last was: that much later it may be closed, never
// earlier.
void SessionSet::handleActivity(Session& session) noexcept {
  session.active_at = now_;
  session.left = 0;
  session.acknowledged = false;
  const std::uint64_t timeout = session.ending
                                    ? endingLook(session.listener->settings())
                                    : session.listener->settings().idle_timeout_ns.load(std::memory_order_relaxed);
  if (now_ - session.listed_at > timeout / 64) listOf(session).moveToBack(session, now_);
}

void SessionSet::closeAll(CloseReason reason) noexcept {
  now_ = clock_.nowNs();
  forEachList([this, reason](SessionList& list) {
    while (Session* session = list.front()) close(*session, reason);
  });
  freeClosed();
}

}  // namespace lemonade::proxy
