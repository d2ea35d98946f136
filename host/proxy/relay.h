// SPDX-License-Identifier: MIT
//
// A relay is one way of asking the kernel (epoll or io_uring) for all that a worker does with sockets: it waits for
// them (EventLoop), connects them (Dialer) and moves bytes between them (Transport). What it finds out about a session
// it tells its owner, the session set, which decides what becomes of the session, and by when.
#pragma once

#include "proxy/dialer.h"
#include "proxy/ends.h"
#include "proxy/event_loop.h"
#include "proxy/session.h"
#include "proxy/transport.h"

#include <cstdint>

namespace lemonade::proxy {

class Relay : public EventLoop, public Dialer, public Transport {
 public:
  /// Every call comes from within EventLoop::wait() or Transport::start(), and may close any session.
  class Owner {
   public:
    /// A turn begins. All other calls are part of a turn.
    virtual void handleTurn() noexcept = 0;
    virtual void handleConnected(Session& session) noexcept = 0;
    /// error is an errno.
    virtual void handleConnectFailed(Session& session, int error) noexcept = 0;
    /// The client broke the connection before a backend had it.
    virtual void handleAbandoned(Session& session) noexcept = 0;
    /// Bytes came or went. The session is in kRelaying.
    virtual void handleActivity(Session& session) noexcept = 0;
    /// The ends of the session came to something. It is in kRelaying, and relays on only where isEnding() holds and
    /// `ending` is kOpen.
    virtual void handleEnding(Session& session, Ending ending) noexcept = 0;
    /// There was no memory to relay with.
    virtual void handleNoMemory(Session& session) noexcept = 0;
    /// The session is in kDelivering: the endpoint that is left may have got everything.
    virtual void handleDelivery(Session& session) noexcept = 0;
    /// The session is in kParted: its client has finished or is gone, or it spoke, which is not taken any more.
    virtual void handleParted(Session& session, bool spoke) noexcept = 0;

   protected:
    ~Owner() = default;
  };

  /// Who is told; before the first wait(). The owner outlives the relay's last wait().
  void setOwner(Owner& owner) noexcept { owner_ = &owner; }

 protected:
  Owner& owner() const noexcept { return *owner_; }

 private:
  Owner* owner_ = nullptr;
};

}  // namespace lemonade::proxy
