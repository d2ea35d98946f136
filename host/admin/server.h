// SPDX-License-Identifier: MIT
//
// The admin listener: a small HTTP/1.1 server for operators and scrapers, which must outlive whatever they send. One
// thread reads and writes for all clients without waiting for any (Boost.Asio); handlers that take a while run on a few
// others. So a probe is answered at once whatever else is slow: other clients, a sink, a reload.
//
// Belongs to the control thread. Prompt and late handlers run on the server's thread and must not block; slow ones run
// on its other threads, several at once, but for each path one at a time.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "admin/limits.h"
#include "admin/message.h"
#include "admin/routes.h"
#include "base/clock.h"
#include "base/inherited_descriptors.h"
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

  /// Listens on a numeric address with a port, which may be 0, or takes over a socket that was inherited for it under
  /// the name "admin". Once. Answers nobody but who asks by address or as "localhost" until allow().
  Status start(const std::string& address, InheritedDescriptors& inherited);
  Status start(const std::string& address) {
    InheritedDescriptors none;
    return start(address, none);
  }
  /// The names it may be asked by besides, as "name" for any port or "name:port"; they replace those given before.
  void allow(const std::vector<std::string>& names);
  /// Where it listens, as "127.0.0.1:9090"; "" before start() and after stop().
  std::string address() const;
  /// The listening socket; -1 before start() and after stop().
  int fd() const noexcept;
  /// Accepts no more: another process does. Those who are connected are served until stop().
  void retire();

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
