// SPDX-License-Identifier: MIT
//
// The relay over epoll: all sockets of a worker in one epoll instance. Each is registered once, edge triggered; nothing
// is ever modified.
#pragma once

#include "base/fd.h"
#include "proxy/buffers.h"
#include "proxy/coalescing.h"
#include "proxy/epoll_session.h"
#include "proxy/forwarder.h"
#include "proxy/meter.h"
#include "proxy/relay.h"

#include <boost/intrusive/list.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

struct epoll_event;

namespace lemonade::proxy {

class EpollRelay final : public Relay {
 public:
  /// Throws std::system_error where the kernel has no descriptors left.
  explicit EpollRelay(Meter& meter);

  void attach() override {}
  void leave() noexcept override { leaving_ = true; }
  void detach() noexcept override {}
  void addGuest(int fd, std::uint32_t events, Guest& guest, Wake wake) override;
  void removeGuest(int fd) noexcept override;
  void wait() noexcept override;

  void setOption(int fd, int level, int name, int value) noexcept override;
  Connect connect(Session& session, const Address& address) noexcept override;
  void dropBackend(Session& session) noexcept override;

  Session* take(Fd client) noexcept override;
  void start(Session& session) noexcept override { run(own(session)); }
  void deliver(Session& session) noexcept override { deliver(own(session)); }
  std::size_t pending(const Session& session, Side side) const noexcept override;
  void close(Session& session, Side side, bool reset) noexcept override;
  bool forget(Session& session) noexcept override;
  void free(Session& session) noexcept override { delete &own(session); }

 private:
  struct Watched {
    int fd;
    std::uint32_t events;
    Guest* guest;
    Wake wake;
    bool watched;  // by the kernel
  };
  using Queue = boost::intrusive::list<
      EpollSession,
      boost::intrusive::member_hook<EpollSession, boost::intrusive::list_member_hook<>, &EpollSession::again_hook>,
      boost::intrusive::constant_time_size<false>>;

  /// Every session is one of this relay's.
  static EpollSession& own(Session& session) noexcept { return static_cast<EpollSession&>(session); }

  void watchGuests() noexcept;
  void handleEvent(const epoll_event& event) noexcept;
  void handleGuest(int fd, std::uint32_t events) noexcept;
  void handleSessionEvent(EpollSession& session, Side side, std::uint32_t events) noexcept;
  void handleConnecting(EpollSession& session, std::uint32_t events) noexcept;
  void lookAtParted(EpollSession& session) noexcept;
  void run(EpollSession& session) noexcept;
  void deliver(EpollSession& session) noexcept;
  void comeBackTo(EpollSession& session) noexcept;
  void runAgain() noexcept;
  bool watch(EpollSession& session, Side side) noexcept;
  void unwatch(const Endpoint& endpoint) noexcept;

  Buffers buffers_;
  Forwarder forwarder_;
  Fd epoll_;
  Fd again_fd_;  // readable while again_ has sessions
  std::vector<Watched> guests_;
  Queue again_;    // with bytes left to move
  Queue running_;  // those whose turn it is, within runAgain
  Coalescing coalescing_;
  std::uint64_t gather_ns_ = 0;  // before the next wait
  bool in_turn_ = false;         // events of one wait are being handled
  bool all_watched_ = true;      // the guests
  bool leaving_ = false;
};

}  // namespace lemonade::proxy
