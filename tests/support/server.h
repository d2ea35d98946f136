// SPDX-License-Identifier: MIT
//
// Backends of the tests, in the test's own process: a server that runs a function for each connection, and addresses
// that refuse or swallow connects. Health checks are connections too: count answers at the client, not accepts here.
#pragma once

#include "support/socket.h"

#include <atomic>
#include <condition_variable>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace lemonade::test {

/// Serves each connection on a thread of its own; ends them all when destroyed.
class Server {
 public:
  /// Runs for one connection, which closes when it returns; what it throws ends the connection.
  using Handler = std::function<void(Socket&)>;

  explicit Server(Handler handler, const std::string& address = "127.0.0.1:0");
  ~Server() { stop(); }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  const std::string& address() const { return address_; }
  /// Connections accepted since construction, health checks included.
  unsigned accepted() const { return accepted_; }
  /// Connections whose handler is running.
  unsigned live() const { return live_; }

  /// Ends every connection and refuses new ones; the port is kept for restart().
  void stop();
  /// Listens on the same port again.
  void restart();

 private:
  struct Session {
    Socket socket;
    std::thread thread;
    std::atomic<bool> done{false};
  };

  void start();
  void acceptLoop();
  void reap(bool all);

  const Handler handler_;
  std::string address_;
  Fd listener_;
  Fd stop_;  // an eventfd: written once to end the accept loop
  std::thread acceptor_;
  std::mutex mutex_;  // guards sessions_
  std::list<std::unique_ptr<Session>> sessions_;
  std::atomic<unsigned> accepted_{0};
  std::atomic<unsigned> live_{0};
};

/// Sends everything back until the client finishes.
Server::Handler echo();
/// Greets with its name and a newline, then stays until the client finishes.
Server::Handler named(std::string name);
/// Answers every HTTP request with 200 and its name; keep-alive.
Server::Handler http(std::string name);

/// An address that refuses every connect.
class RefusingPort {
 public:
  RefusingPort() : fd_(bindTo("127.0.0.1:0")), address_(localAddressOf(fd_.get())) {}
  const std::string& address() const { return address_; }

 private:
  Fd fd_;
  std::string address_;
};

/// An address where connects neither succeed nor fail: its accept queue is full, so the kernel drops what comes.
class BlackHole {
 public:
  BlackHole();
  const std::string& address() const { return address_; }
  /// Makes room, so that connects succeed from now on, and returns the first one; a retransmit takes about a second.
  /// Once only.
  Socket open(Millis within = 20s);

 private:
  Fd listener_;
  std::string address_;
  Socket filler_;
};

}  // namespace lemonade::test
