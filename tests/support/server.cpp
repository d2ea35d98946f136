// SPDX-License-Identifier: MIT
//
// Backends of the tests: see server.h.
#include "support/server.h"

#include <sys/eventfd.h>

#include <exception>

namespace lemonade::test {
namespace {

Fd acceptFrom(int listener) { return Fd(::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)); }

constexpr Millis kSessionTime = 10min;  // the client decides when a session ends

}  // namespace

Server::Server(Handler handler, const std::string& address) : handler_(std::move(handler)), address_(address) {
  start();
}

void Server::start() {
  listener_ = listenOn(address_);
  address_ = localAddressOf(listener_.get());
  stop_ = Fd(::eventfd(0, EFD_CLOEXEC));
  acceptor_ = std::thread([this] { acceptLoop(); });
}

void Server::restart() { start(); }

void Server::stop() {
  if (!acceptor_.joinable()) return;
  ::eventfd_write(stop_.get(), 1);
  acceptor_.join();
  listener_.reset();
  reap(true);
}

void Server::acceptLoop() {
  pollfd entries[] = {{listener_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
  while (::poll(entries, 2, -1) >= 0 && entries[1].revents == 0) {
    Fd fd = acceptFrom(listener_.get());
    if (!fd) continue;
    reap(false);
    ++accepted_;
    ++live_;
    const std::lock_guard lock(mutex_);
    Session& session = *sessions_.emplace_back(std::make_unique<Session>());
    session.socket = Socket(std::move(fd));
    session.thread = std::thread([this, &session] {
      try {
        handler_(session.socket);
      } catch (const std::exception&) {
        session.socket.shutdownBoth();
      }
      const std::lock_guard closing(mutex_);
      session.socket.close();
      --live_;
      session.done = true;
    });
  }
}

void Server::reap(bool all) {
  std::list<std::unique_ptr<Session>> ended;
  {
    const std::lock_guard lock(mutex_);
    for (auto it = sessions_.begin(); it != sessions_.end();) {
      const auto session = it++;
      if (all) (*session)->socket.shutdownBoth();
      if (all || (*session)->done) ended.splice(ended.end(), sessions_, session);
    }
  }
  for (auto& session : ended) session->thread.join();
}

Server::Handler echo() {
  return [](Socket& socket) {
    std::string buffer(64 * 1024, '\0');
    while (const auto size = socket.receiveSome(buffer.data(), buffer.size(), kSessionTime))
      socket.send(std::string_view(buffer).substr(0, size), kSessionTime);
  };
}

Server::Handler named(std::string name) {
  return [name = name + "\n"](Socket& socket) {
    socket.send(name);
    char ignored[4096];
    while (socket.receiveSome(ignored, sizeof(ignored), kSessionTime) > 0) {
    }
  };
}

Server::Handler http(std::string name) {
  return [name = std::move(name)](Socket& socket) {
    const std::string answer =
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " + std::to_string(name.size()) + "\r\n\r\n" +
        name;
    std::string pending;
    char buffer[4096];
    while (const auto size = socket.receiveSome(buffer, sizeof(buffer), kSessionTime)) {
      pending.append(buffer, size);
      for (auto end = pending.find("\r\n\r\n"); end != std::string::npos; end = pending.find("\r\n\r\n")) {
        pending.erase(0, end + 4);
        socket.send(answer);
      }
    }
  };
}

BlackHole::BlackHole() : listener_(listenOn("127.0.0.1:0", 0)), address_(localAddressOf(listener_.get())) {
  filler_ = Socket::connect(address_);  // a queue of length 0 holds one
}

Socket BlackHole::open(Millis within) {
  acceptFrom(listener_.get());
  filler_.close();
  const Deadline deadline(within);
  pollfd entry{listener_.get(), POLLIN, 0};
  if (::poll(&entry, 1, deadline.remainingMillis()) != 1) throw TimeoutError("nobody connected in time");
  return Socket(acceptFrom(listener_.get()));
}

}  // namespace lemonade::test
