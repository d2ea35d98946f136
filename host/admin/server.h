// SPDX-License-Identifier: MIT
//
// The admin listener: a small HTTP/1.1 server for operators and scrapers, which must outlive whatever they send. It
// listens on TCP, on a Unix socket, or on both. One thread reads and writes for all clients without waiting for any
// (Boost.Asio); handlers that take a while run on a few others. So a probe is answered at once whatever else is slow:
// other clients, a sink, a reload.
//
// Belongs to the control thread. Prompt and late handlers run on the server's thread and must not block; slow ones run
// on its other threads, several at once, but for each path one at a time.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "admin/access.h"
#include "admin/limits.h"
#include "admin/listening_socket.h"
#include "admin/message.h"
#include "admin/routes.h"
#include "base/clock.h"
#include "base/result.h"

namespace lemonade::admin {

class Server {
 public:
  explicit Server(Limits limits = {});
  /// Stops at once where stop() was not called.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Answers method (GET answers HEAD too) on path, which is exact or "/prefix/*"; of several the longest match
  /// answers. What a handler throws is logged and answered with 500. Before start().
  void handle(std::string method, std::string path, Route route);

  /// Accepts clients by these sockets. Once. Until allow() it answers nobody but who asks by address or as
  /// "localhost", and lets only this machine change anything.
  Status start(std::vector<ListeningSocket::Shared> sockets);
  /// The same for one numeric address with a port, which may be 0.
  Status start(const std::string& address);
  /// Accepts clients by these from now on, in the place of those before. Who is connected is served on.
  void use(std::vector<ListeningSocket::Shared> sockets);
  /// Whom to answer from now on.
  void allow(Access access);
  /// Those in use; none before start() and after stop().
  const std::vector<ListeningSocket::Shared>& sockets() const noexcept;
  /// Where it listens, as "127.0.0.1:9090", by the first of them; "" where there is none.
  std::string address() const;
  /// Accepts no more: another process does. Those who are connected are served until stop().
  void retire() { use({}); }

  /// Accepts no more, drops requests that are not complete, gives the others `grace`, then cuts them off. The end of
  /// this object: only address() may follow. Returns false where a handler still did not return: it is left behind with
  /// its thread, which the log says. What it captured must bear that, and the process must end with _exit, before it
  /// finds statics destroyed.
  bool stop(Duration grace);

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;  // none after stop()
};

}  // namespace lemonade::admin
