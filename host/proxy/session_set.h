// SPDX-License-Identifier: MIT
//
// All sessions of one worker, in an epoll instance of their own: one descriptor in the worker's reactor stands for
// thousands of connections. Each socket is registered once, edge triggered; nothing is ever modified.
//
// While it has sessions the worker waits here rather than in its reactor, which costs a poll and a dispatch for each
// turn. The descriptors of the reactor are guests in this set: when one of them is ready, the reactor has its turn.
//
// Life of a session: add -> connecting (-> waiting or queued) -> relaying -> closed, or -> resetting -> closed. Each state is a list
// ordered by time, so a timeout is looked for at the front only. Worker thread only.
#pragma once

#include "base/fd.h"
#include "proxy/admission.h"
#include "proxy/coalescing.h"
#include "proxy/connector.h"
#include "proxy/drains.h"
#include "proxy/meter.h"
#include "proxy/relay.h"
#include "proxy/session.h"
#include "proxy/settings.h"

#include <cstdint>
#include <vector>

struct epoll_event;

namespace lemonade::proxy {

class SessionSet {
 public:
  SessionSet(std::uint32_t worker, Pool& pool, const Settings& settings, Admission& admission, ProxyCounters& counters);
  /// Closes every session.
  ~SessionSet();
  SessionSet(const SessionSet&) = delete;
  SessionSet& operator=(const SessionSet&) = delete;

  /// Readable while there is something to do.
  int fd() const noexcept { return epoll_.get(); }

  /// Takes over an accepted client, whose place in the admission is taken, and finds it a backend.
  void add(Fd client, const Address& address, std::uint16_t local_port) noexcept;

  /// A place at a backend may have become free: those that wait for one look again, first come first served.
  void handlePlaces() noexcept;

  /// A descriptor of the reactor, for which it shall have its turn.
  void addGuest(int fd);
  void removeGuest(int fd) noexcept;

  /// Waits until something is ready and handles it. False where a guest is ready, or nothing is left to wait for: then it
  /// is the reactor's turn.
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

 private:
  bool handleEvent(const epoll_event& event) noexcept;
  void handleSessionEvent(Session& session, bool of_backend, std::uint32_t events) noexcept;
  void proceed(Session& session, Connector::Outcome outcome) noexcept;
  void queue(Session& session) noexcept;
  void leaveQueue(Session& session) noexcept;
  void servePlaces() noexcept;
  void retry(Session& session, int error) noexcept;
  void handleConnecting(Session& session, std::uint32_t events) noexcept;
  void startRelaying(Session& session) noexcept;
  void relay(Session& session) noexcept;
  void runAgain() noexcept;
  void reset(Session& session, CloseReason reason) noexcept;
  bool finishReset(Session& session, std::uint64_t now) noexcept;
  void abandon(Session& session) noexcept;
  void close(Session& session, CloseReason reason) noexcept;
  void freeClosed() noexcept;
  void handleDrains(std::uint64_t now) noexcept;
  void touch(Session& session) noexcept;
  void enter(Session& session, Session::State state, SessionList& list) noexcept;
  SessionList& listOf(Session::State state) noexcept;
  bool watch(Session& session, Endpoint& endpoint, std::uintptr_t side) noexcept;
  void unwatch(const Endpoint& endpoint) noexcept;
  void closeFd(Endpoint& endpoint) noexcept;
  void closeWithReset(Endpoint& endpoint) noexcept;

  const Settings& settings_;
  Pool& pool_;
  Admission& admission_;
  Buffers buffers_;
  Meter meter_;
  Connector connector_;
  Relay relay_;
  Drains drains_;
  Coalescing coalescing_;
  std::uint64_t gather_ns_ = 0;  // before the next wait

  Fd epoll_;
  Fd again_fd_;  // readable while again_ has sessions
  std::uint64_t now_ = 0;  // of the batch

  SessionList connecting_;
  SessionList waiting_;
  SessionList queued_;
  SessionList relaying_;
  SessionList resetting_;
  SessionList closed_;
  std::vector<Session*> again_;    // with bytes left to move
  std::vector<Session*> running_;  // those whose turn it is, within runAgain
  std::size_t size_ = 0;
};

}  // namespace lemonade::proxy
