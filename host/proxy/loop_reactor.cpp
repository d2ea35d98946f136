// SPDX-License-Identifier: MIT
#include "proxy/loop_reactor.h"

#include <Poco/ErrorHandler.h>
#include <Poco/Exception.h>
#include <poll.h>

#include <cstdint>
#include <exception>
#include <utility>

namespace lemonade::proxy {

using Poco::Net::Socket;
using Poco::Net::SocketNotification;

/// One socket with its handlers, as a guest of the loop.
class LoopReactor::Handler final : public Guest, public std::enable_shared_from_this<Handler> {
 public:
  Handler(LoopReactor& reactor, const Socket& socket) : reactor_(reactor), socket_(socket) {}

  // A handler may remove itself and the others of this socket, and with them this object.
  void handleReady(std::uint32_t events) noexcept override try {
    const auto self = shared_from_this();
    if ((events & (POLLIN | POLLHUP)) != 0) reactor_.dispatch(socket_, reactor_.readable_);
    if ((events & POLLOUT) != 0) reactor_.dispatch(socket_, reactor_.writable_);
    if ((events & POLLERR) != 0) reactor_.dispatch(socket_, reactor_.error_);
  } catch (...) {
    // Poco's error handler has been told of what a handler threw: this is for want of memory, and the socket stays
    // ready.
  }

  void count(const Poco::AbstractObserver& observer, int change) {
    observers_ += change;
    if (observer.accepts(reactor_.readable_)) readers_ += change;
    if (observer.accepts(reactor_.writable_)) writers_ += change;
  }
  bool isUsed() const noexcept { return observers_ > 0; }
  std::uint32_t events() const noexcept {
    return std::uint32_t{POLLERR} | (readers_ > 0 ? std::uint32_t{POLLIN} : 0) |
           (writers_ > 0 ? std::uint32_t{POLLOUT} : 0);
  }

 private:
  LoopReactor& reactor_;
  const Socket socket_;
  int observers_ = 0;
  int readers_ = 0;
  int writers_ = 0;
};

LoopReactor::LoopReactor(EventLoop& loop)
    : loop_(loop),
      readable_(new Poco::Net::ReadableNotification(this)),
      writable_(new Poco::Net::WritableNotification(this)),
      error_(new Poco::Net::ErrorNotification(this)) {}

LoopReactor::~LoopReactor() {
  for (const auto& [socket, handler] : handlers_) loop_.removeGuest(socket.impl()->sockfd());
}

void LoopReactor::addEventHandler(const Socket& socket, const Poco::AbstractObserver& observer) {
  if (hasEventHandler(socket, observer)) return;
  SocketReactor::addEventHandler(socket, observer);
  const auto [entry, added] = handlers_.try_emplace(socket);
  if (added)
    entry->second = std::make_shared<Handler>(*this, socket);
  else
    loop_.removeGuest(socket.impl()->sockfd());
  entry->second->count(observer, 1);
  watch(socket);
}

void LoopReactor::removeEventHandler(const Socket& socket, const Poco::AbstractObserver& observer) {
  const auto found = handlers_.find(socket);
  if (found == handlers_.end() || !hasEventHandler(socket, observer)) return;
  SocketReactor::removeEventHandler(socket, observer);
  loop_.removeGuest(socket.impl()->sockfd());
  found->second->count(observer, -1);
  if (found->second->isUsed())
    watch(socket);
  else
    handlers_.erase(found);
}

void LoopReactor::watch(const Socket& socket) {
  Handler& handler = *handlers_.at(socket);
  loop_.addGuest(socket.impl()->sockfd(), handler.events(), handler, EventLoop::Wake::kEach);
}

void LoopReactor::run() {
  while (!stopped_) {
    loop_.wait();
    try {
      onBusy();
    } catch (const Poco::Exception& error) {
      Poco::ErrorHandler::handle(error);
    } catch (const std::exception& error) {
      Poco::ErrorHandler::handle(error);
    } catch (...) {
      Poco::ErrorHandler::handle();
    }
  }
  onShutdown();
}

}  // namespace lemonade::proxy
