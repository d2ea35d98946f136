// SPDX-License-Identifier: MIT
//
// A Poco reactor that waits in an EventLoop. Poco's own run() polls a set of sockets of its own, with a system call and
// a dispatch for each turn; here each socket with a handler is a guest of the loop, beside the sessions of a relay, and
// one wait serves all of them.
//
// Notifications are dispatched as Poco does: readable, writable and error to the handlers of the socket that is ready,
// shutdown to all handlers at the end. There are no timeouts and no idle turns, so those two are never sent. The base
// class is not public: its functions are not virtual, and what they are told over a reference to the base the loop
// would not hear of. Handlers are added and removed by the thread that runs, or while none does.
#pragma once

#include "proxy/event_loop.h"

#include <Poco/AbstractObserver.h>
#include <Poco/AutoPtr.h>
#include <Poco/Net/Socket.h>
#include <Poco/Net/SocketNotification.h>
#include <Poco/Net/SocketReactor.h>

#include <map>
#include <memory>

namespace lemonade::proxy {

class LoopReactor : protected Poco::Net::SocketReactor {
 public:
  /// The loop outlives the reactor.
  explicit LoopReactor(EventLoop& loop);
  ~LoopReactor() override;

  /// Has the observer called, on the thread that runs, whenever the socket is ready for what it observes.
  void addEventHandler(const Poco::Net::Socket& socket, const Poco::AbstractObserver& observer);
  void removeEventHandler(const Poco::Net::Socket& socket, const Poco::AbstractObserver& observer);
  using SocketReactor::has;
  using SocketReactor::hasEventHandler;

 protected:
  /// Waits and handles what is ready, until stop(). Calls onBusy() at the end of each turn; what that throws goes to
  /// Poco's ErrorHandler.
  void run() override;
  /// Ends run() after the turn. The thread that runs.
  void stop() noexcept { stopped_ = true; }

 private:
  class Handler;

  void watch(const Poco::Net::Socket& socket);

  EventLoop& loop_;
  bool stopped_ = false;
  std::map<Poco::Net::Socket, std::shared_ptr<Handler>> handlers_;
  Poco::AutoPtr<Poco::Net::SocketNotification> readable_;
  Poco::AutoPtr<Poco::Net::SocketNotification> writable_;
  Poco::AutoPtr<Poco::Net::SocketNotification> error_;
};

}  // namespace lemonade::proxy
