// SPDX-License-Identifier: MIT
//
// All sessions of one worker: what becomes of each, and by when. A relay moves their bytes, and tells this set what it
// finds out about each session.
//
// Life of a session: add -> connecting (-> without a descriptor, pausing, or queued) -> relaying -> closed, or ->
// delivering -> closed, or, where it was quiet, -> parted -> closed. Each state is a list ordered by time, so a timeout
// is looked for at the front only; sessions that relay have two, one for those that are ending. Lists whose timeout is
// a pool's belong to the pool, those whose timeout is a listener's to the listener.
//
// A turn of the worker costs the same whatever the number of pools and listeners: the set remembers by when something
// is due at the earliest, and looks at all lists only then. Between two looks that time only becomes earlier, so a
// session that went on meanwhile costs one look that finds nothing. Worker thread only.
#pragma once

#include "base/clock.h"
#include "base/fd.h"
#include "proxy/connector.h"
#include "proxy/drains.h"
#include "proxy/listener.h"
#include "proxy/mailbox.h"
#include "proxy/meter.h"
#include "proxy/pool_sessions.h"
#include "proxy/relay.h"
#include "proxy/session.h"

#include <boost/intrusive/list.hpp>

#include <atomic>
#include <cstdint>

namespace lemonade::proxy {

class PartingOrder;

class SessionSet final : public Relay::Owner {
 public:
  /// Makes itself the owner of the relay. serving is how many workers serve. All of these must outlive the set.
  SessionSet(std::uint32_t worker, Relay& relay, Meter& meter, const std::atomic<std::uint32_t>& serving,
             Mailbox& mailbox, const Clock& clock);
  /// Closes every session.
  ~SessionSet();
  SessionSet(const SessionSet&) = delete;
  SessionSet& operator=(const SessionSet&) = delete;

  /// The worker's thread ends: closes every session, and waits until the relay has let go of them.
  void end() noexcept;

  /// Takes over an accepted client, whose place in the admission of the listener is taken, and finds it a backend of
  /// the pool to which the listener leads now.
  /// Where the client's PROXY header named address, destination is what it named, too, and peer the proxy that sent it;
  /// else both are of family AF_UNSPEC.
  void add(Fd client, const Address& address, std::uint16_t local_port, Listener& listener,
           const Address& destination = {}, const Address& peer = {}) noexcept;

  /// Places at backends may have become free: sessions that wait for one look again, first come first served. Of pools
  /// of which no place was offered, and which have no newer view, nothing is looked at.
  void handlePlaces() noexcept;
  /// A timeout may be shorter than it was: looks at every list soon.
  void lookSoon() noexcept { noteDue(1); }

  /// Frees what was closed. After each wait of the relay.
  void endTurn() noexcept { freeClosed(); }
  /// Handles what is due.
  void handleDue(std::uint64_t now) noexcept;
  /// By when handleDue is to be called, monotonic nanoseconds: not after something is due, though perhaps before. 0
  /// where nothing is under way.
  std::uint64_t nextDue() const noexcept;

  /// Has sessions end in time, with reason kDrain.
  Drains& drains() noexcept { return drains_; }
  /// Has quiet sessions part, as far as the order goes; see parting.h. Looks at all sessions that relay.
  void part(PartingOrder& order) noexcept;
  /// Ends every session for this reason.
  void closeAll(CloseReason reason) noexcept;
  std::size_t size() const noexcept { return size_; }

  // For the relay.
  void handleTurn() noexcept override { mailbox_.lag.due(now_ = clock_.nowNs()); }
  void handleConnected(Session& session) noexcept override;
  void handleConnectFailed(Session& session, int error) noexcept override;
  void handleAbandoned(Session& session) noexcept override;
  void handleActivity(Session& session) noexcept override;
  void handleEnding(Session& session, Ending ending) noexcept override;
  void handleNoMemory(Session& session) noexcept override { close(session, CloseReason::kNoMemory); }
  void handleDelivery(Session& session) noexcept override { finishDelivery(session, now_); }
  void handleParted(Session& session, bool spoke) noexcept override;

 private:
  using Pools = boost::intrusive::list<
      PoolSessions,
      boost::intrusive::member_hook<PoolSessions, boost::intrusive::list_member_hook<>, &PoolSessions::active_hook>>;
  using Queueing = boost::intrusive::list<
      PoolSessions,
      boost::intrusive::member_hook<PoolSessions, boost::intrusive::list_member_hook<>, &PoolSessions::queueing_hook>>;
  using Listeners =
      boost::intrusive::list<ListenerAtWorker,
                             boost::intrusive::member_hook<ListenerAtWorker, boost::intrusive::list_member_hook<>,
                                                           &ListenerAtWorker::active_hook>>;

  PoolSessions* poolSessions(Pool& pool) noexcept;
  void enlist(Session& session, Listener& listener, PoolSessions& at_pool) noexcept;
  void delist(Session& session) noexcept;
  void proceed(Session& session, Connector::Outcome outcome) noexcept;
  void pause(Session& session) noexcept;
  void queue(Session& session) noexcept;
  bool servePlaces(PoolSessions& at_pool) noexcept;
  void lookAtQueue(PoolSessions& at_pool) noexcept;
  void handleConnecting(PoolSessions& at_pool, std::uint64_t now) noexcept;
  void handleShortage(std::uint64_t now) noexcept;
  void close(Session& session, CloseReason reason) noexcept;
  void account(Session& session) noexcept;
  static void releasePlace(Session& session) noexcept;
  void freeClosed() noexcept;
  void handleDrains(std::uint64_t now) noexcept;

  // Ending; see session_endings.cpp
  void deliver(Session& session, CloseReason reason) noexcept;
  void finishDelivery(Session& session, std::uint64_t now) noexcept;
  bool hasProgressed(Session& session) const noexcept;
  void noteSent(Session& session) const noexcept;
  void noteTaken(Session& session) const noexcept;
  void handleEnds(ListenerAtWorker& at_listener, std::uint64_t now) noexcept;
  void handleDeliveries(std::uint64_t now) noexcept;
  void handleIdle(Session& session, std::uint64_t now) noexcept;
  void handleEndingIdle(Session& session, std::uint64_t now) noexcept;
  void handleSilence(ListenerAtWorker& at_listener, const Listener& listener, std::uint64_t now) noexcept;
  void judgeSilence(Session& session, std::uint32_t silent_ms) noexcept;
  static std::uint64_t endingLook(const ListenerSettings& settings) noexcept;
  std::uint64_t deliveryLook() const noexcept;

  // Partings; see session_partings.cpp
  void part(Session& session, CloseReason reason) noexcept;
  void handlePartings(std::uint64_t now) noexcept;
  static std::uint64_t dueOfParted(std::uint64_t since) noexcept;

  // When things are due; see session_times.cpp
  /// Something is due then; 0: nothing is.
  void noteDue(std::uint64_t at) noexcept {
    if (at != 0 && (due_ == 0 || at < due_)) due_ = at;
  }
  std::uint64_t dueOf(const Session& session, std::uint64_t since) const noexcept;
  static std::uint64_t dueOfRelaying(const Session& session, std::uint64_t since) noexcept;
  void noteAllDue() noexcept;

  void enter(Session& session, Session::State state) noexcept { enter(session, state, now_); }
  void enter(Session& session, Session::State state, std::uint64_t since) noexcept;
  SessionList& listOf(const Session& session) noexcept;
  /// Visits every list but that of the closed.
  template <class Visit>
  void forEachList(Visit&& visit) noexcept {
    for (auto& at_pool : pools_)
      for (auto* list : {&at_pool.connecting, &at_pool.pausing, &at_pool.queued}) visit(*list);
    for (auto& at_listener : listeners_)
      for (auto* list : {&at_listener.relaying, &at_listener.ending}) visit(*list);
    for (auto* list : {&without_descriptor_, &delivering_, &parted_}) visit(*list);
  }

  const std::uint32_t worker_;
  Mailbox& mailbox_;
  Meter& meter_;
  Relay& relay_;
  const Clock& clock_;
  Connector connector_;
  Drains drains_;
  std::uint64_t now_ = 0;             // of the turn
  std::uint64_t due_ = 0;             // nothing but a drain is due before that; 0: nothing is under way
  std::uint64_t shortage_until_ = 0;  // till then nobody tries to get a descriptor again

  Pools pools_;          // that have sessions here
  Queueing queueing_;    // those of them of which one is queued
  Listeners listeners_;  // that have sessions here
  SessionList without_descriptor_;
  SessionList delivering_;
  SessionList parted_;
  SessionList closed_;
  std::size_t size_ = 0;
};

}  // namespace lemonade::proxy
