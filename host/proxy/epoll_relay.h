// SPDX-License-Identifier: MIT
//
// The relay over epoll: all sockets of a worker in one epoll instance. Each is registered once, edge triggered; nothing
// is ever modified.
#pragma once

#include "base/fd.h"
#include "proxy/buffers.h"
#include "proxy/coalescing.h"
#include "proxy/forwarder.h"
#include "proxy/meter.h"
#include "proxy/relay.h"

#include <cstdint>
#include <vector>

struct epoll_event;

namespace lemonade::proxy {

class EpollRelay final : public Relay {
 public:
  /// Throws std::system_error where the kernel has no descriptors left.
  EpollRelay(Owner& owner, Meter& meter);

  int fd() const noexcept override { return epoll_.get(); }
  void leave() noexcept override { leaving_ = true; }
  void addGuest(int fd, Guest* guest) override;
  void removeGuest(int fd) noexcept override;
  bool wait() noexcept override;

  bool watchClient(Session& session) noexcept override;
  void setOption(int fd, int level, int name, int value) noexcept override;
  Connect connect(Session& session, const Address& address) noexcept override;
  void dropBackend(Session& session) noexcept override;
  void start(Session& session) noexcept override { run(session); }
  void deliver(Session& session) noexcept override;
  std::size_t pending(const Endpoint& endpoint) const noexcept override;
  void close(Session& session, Endpoint& endpoint, bool reset) noexcept override;
  bool forget(Session& session) noexcept override;

 private:
  struct Visitor {
    int fd;
    Guest* guest;
    bool watched;
  };

  void watchGuests() noexcept;
  bool handleEvent(const epoll_event& event) noexcept;
  bool handleGuest(int fd) noexcept;
  void handleSessionEvent(Session& session, bool of_backend, std::uint32_t events) noexcept;
  void handleConnecting(Session& session, std::uint32_t events) noexcept;
  void run(Session& session) noexcept;
  void comeBackTo(Session& session) noexcept;
  void runAgain() noexcept;
  bool watch(Session& session, Endpoint& endpoint, std::uintptr_t side) noexcept;
  void unwatch(const Endpoint& endpoint) noexcept;

  Owner& owner_;
  Buffers buffers_;
  Forwarder forwarder_;
  Fd epoll_;
  Fd again_fd_;  // readable while again_ has sessions
  std::vector<Visitor> visitors_;
  SessionQueue<&Session::again_hook> again_;    // with bytes left to move
  SessionQueue<&Session::again_hook> running_;  // those whose turn it is, within runAgain
  Coalescing coalescing_;
  std::uint64_t gather_ns_ = 0;  // before the next wait
  bool in_turn_ = false;         // events of one wait are being handled
  bool all_watched_ = true;      // the visitors
  bool leaving_ = false;
};

}  // namespace lemonade::proxy
