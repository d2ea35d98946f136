// SPDX-License-Identifier: MIT
//
// Accepts the clients of the admin listener and keeps them within their limits. There is room for everybody who comes:
// where all places or descriptors are taken, whoever dawdles longest makes room, so that no flood of slow clients locks
// an operator out.
//
// Belongs to the thread of the io_context.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "admin/access.h"
#include "admin/connection.h"
#include "admin/limits.h"
#include "admin/responder.h"
#include "base/fd.h"

namespace lemonade::admin {

class Clients {
 public:
  /// listener: bound and listening, not blocking; family: AF_INET or AF_INET6. limits and responder outlive this.
  Clients(boost::asio::io_context& io, Fd listener, int family, const Limits& limits, Responder& responder);

  /// Accepts from now on; again where an exception broke that off.
  void listen();
  /// Accepts no more.
  void retire();
  /// The same; ends the clients that are not being answered, and the others after their answer.
  void finish();
  /// Ends them all.
  void end();
  bool empty() const noexcept { return connections_.empty(); }
  /// Called when empty() has become true.
  std::function<void()> on_empty = [] {};

  /// Whom to answer from now on. Any thread.
  void allow(Access access);

  // For connections.
  const Limits& limits() const noexcept { return limits_; }
  Responder& responder() noexcept { return responder_; }
  std::optional<Response> refusal(const RequestHead& head);
  /// Ends slow readers until what waits to be written is within its limit, or all that is left is `latest`'s.
  void boundUnsent(const Connection& latest);
  void remove(Connection& connection);

 private:
  void accept();
  void take(Fd fd);
  bool makeRoom();
  void pause();

  boost::asio::io_context& io_;
  const Limits& limits_;
  Responder& responder_;
  const boost::asio::ip::tcp protocol_;
  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::steady_timer pause_;
  bool waiting_ = false;  // for a client, or for the end of a pause
  std::unordered_map<Connection*, std::shared_ptr<Connection>> connections_;
  std::uint64_t refusal_logged_ns_ = 0;

  std::mutex access_mutex_;
  std::shared_ptr<const Access> access_;  // guarded by access_mutex_
};

}  // namespace lemonade::admin
