// SPDX-License-Identifier: MIT
//
// All sessions of one worker: what becomes of each, and by when. Their bytes are moved by a relay, whose one descriptor
// in the worker's reactor stands for thousands of connections.
//
// The worker waits here rather than in its reactor, which costs a poll and a dispatch for each turn. The listeners, and
// the descriptors of the reactor, are guests in this set: when one of them is ready, its guest is called, or the
// reactor has its turn.
//
// Life of a session: add -> connecting (-> without a descriptor, pausing, or queued) -> relaying -> closed, or ->
// delivering -> closed. Each state is a list ordered by time, so a timeout is looked for at the front only; sessions
// that relay have two, one for those that are ending. Worker thread only.
#pragma once

#include "base/fd.h"
#include "proxy/admission.h"
#include "proxy/connector.h"
#include "proxy/drains.h"
#include "proxy/mailbox.h"
#include "proxy/meter.h"
#include "proxy/relays.h"
#include "proxy/session.h"
#include "proxy/settings.h"

#include <cstdint>
#include <memory>

namespace lemonade::proxy {

class SessionSet final : public Relay::Owner {
 public:
  SessionSet(std::uint32_t worker, RelayKind relay, Pool& pool, const Settings& settings, Admission& admission,
             Mailbox& mailbox);
  /// Closes every session.
  ~SessionSet();
  SessionSet(const SessionSet&) = delete;
  SessionSet& operator=(const SessionSet&) = delete;

  /// Readable while there is something to do.
  int fd() const noexcept { return relay_->fd(); }
  /// The worker's thread begins and ends; sessions that are left at its end are closed.
  void attach() { relay_->attach(); }
  void detach() noexcept;
  /// From now on handleReady does not wait.
  void leave() noexcept { relay_->leave(); }

  /// Takes over an accepted client, whose place in the admission is taken, and finds it a backend.
  void add(Fd client, const Address& address, std::uint16_t local_port) noexcept;

  /// A place at a backend may have become free: those that wait for one look again, first come first served.
  void handlePlaces() noexcept;

  /// A descriptor to wait for along with the sessions; without a guest to call, one of the reactor's.
  void addGuest(int fd, Guest* guest = nullptr) { relay_->addGuest(fd, guest); }
  void removeGuest(int fd) noexcept { relay_->removeGuest(fd); }

  /// Waits until something is ready and handles it. False where a guest is ready, or nothing is left to wait for: then
  /// it is the reactor's turn.
  bool handleReady() noexcept;
  /// Handles what is due.
  void handleDue(std::uint64_t now) noexcept;
  /// When handleDue has something to do next, monotonic nanoseconds; 0 where nothing is under way.
  std::uint64_t nextDue() const noexcept;

  /// Has sessions end in time, with reason kDrain.
  Drains& drains() noexcept { return drains_; }
  /// Ends every session for this reason.
  void closeAll(CloseReason reason) noexcept;
  std::size_t size() const noexcept { return size_; }

  // For the relay.
  void handleTurn(std::uint64_t now) noexcept override { now_ = now; }
  void handleConnected(Session& session) noexcept override;
  void handleConnectFailed(Session& session, int error) noexcept override;
  void handleAbandoned(Session& session) noexcept override;
  void handleActivity(Session& session) noexcept override;
  void handleEnding(Session& session, Ending ending) noexcept override;
  void handleNoMemory(Session& session) noexcept override { close(session, CloseReason::kNoMemory); }
  void handleDelivery(Session& session) noexcept override { finishDelivery(session, now_); }

 private:
  void proceed(Session& session, Connector::Outcome outcome) noexcept;
  void pause(Session& session) noexcept;
  void queue(Session& session) noexcept;
  void leaveQueue(Session& session) noexcept;
  bool servePlaces() noexcept;
  void lookAtQueue() noexcept;
  void handleShortage(std::uint64_t now) noexcept;
  void close(Session& session, CloseReason reason) noexcept;
  void freeClosed() noexcept;
  void handleDrains(std::uint64_t now) noexcept;

  // Ending; see session_endings.cpp
  void deliver(Session& session, CloseReason reason) noexcept;
  void finishDelivery(Session& session, std::uint64_t now) noexcept;
  bool hasProgressed(Session& session) const noexcept;
  void noteSent(Session& session) const noexcept;
  void handleEnds(std::uint64_t now) noexcept;
  void handleIdle(Session& session, std::uint64_t now) noexcept;
  void handleEndingIdle(Session& session, std::uint64_t now) noexcept;
  void handleSilence(std::uint64_t now) noexcept;
  void judgeSilence(Session& session, std::uint32_t silent_ms) noexcept;
  std::uint64_t endingLook() const noexcept;
  std::uint64_t nextLook() const noexcept;

  void enter(Session& session, Session::State state, SessionList& list) noexcept;
  void enter(Session& session, Session::State state, SessionList& list, std::uint64_t since) noexcept;
  SessionList& listOf(const Session& session) noexcept;

  const Settings& settings_;
  Pool& pool_;
  Admission& admission_;
  Mailbox& mailbox_;
  Meter meter_;
  std::unique_ptr<Relay> relay_;
  Connector connector_;
  Drains drains_;
  std::uint64_t now_ = 0;             // of the turn
  std::uint64_t next_look_ = 1;       // for peers that are silent
  std::uint64_t look_at_ = 0;         // the queue, for those whom a backend failed; 0: nobody in it was failed
  std::uint64_t shortage_until_ = 0;  // till then nobody tries to get a descriptor again

  SessionList connecting_;
  SessionList without_descriptor_;
  SessionList pausing_;  // until when they are listed
  SessionList queued_;
  SessionList relaying_;
  SessionList ending_;  // relaying, too
  SessionList delivering_;
  SessionList closed_;
  std::size_t size_ = 0;
};

}  // namespace lemonade::proxy
