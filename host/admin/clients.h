// SPDX-License-Identifier: MIT
//
// Accepts the clients of the admin server and keeps them within their limits. There is room for everybody who comes:
// where all places or descriptors are taken, whoever dawdles longest makes room, so that no flood of slow clients locks
// an operator out.
//
// Belongs to the thread of the io_context.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "admin/access.h"
#include "admin/connection.h"
#include "admin/limits.h"
#include "admin/listening_socket.h"
#include "admin/peer.h"
#include "admin/responder.h"
#include "base/fd.h"

namespace lemonade::admin {

class Clients {
 public:
  /// limits and responder outlive this.
  Clients(boost::asio::io_context& io, const Limits& limits, Responder& responder);
  ~Clients();

  /// Accepts by these from now on, and no more by others; who came by those is served on.
  void use(const std::vector<ListeningSocket::Shared>& sockets);
  /// Waits for clients again where an exception broke that off.
  void listen();
  /// Accepts no more.
  void retire() { use({}); }
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
  /// Who asks, in words for the log; or the answer where the request is refused.
  std::variant<std::string, Response> judge(const RequestHead& head, const Peer& peer);
  /// Ends slow readers until what waits to be written is within its limit, or all that is left is `latest`'s.
  void boundUnsent(const Connection& latest);
  void remove(Connection& connection);

 private:
  /// Waits at one socket, whose descriptor it has lent.
  struct Door {
    Door(boost::asio::io_context& io, ListeningSocket::Shared at)
        : socket(std::move(at)), descriptor(io, socket->fd()), pause(io) {}
    ~Door() { (void)descriptor.release(); }
    Door(const Door&) = delete;
    Door& operator=(const Door&) = delete;

    ListeningSocket::Shared socket;
    boost::asio::posix::stream_descriptor descriptor;
    boost::asio::steady_timer pause;
    bool waiting = false;  // for a client, or for the end of a pause
  };
  using SharedDoor = std::shared_ptr<Door>;

  void listen(const SharedDoor& door);
  void accept(const SharedDoor& door);
  void take(Fd fd, int family);
  bool makeRoom();
  void pause(const SharedDoor& door);
  bool isOpen(const SharedDoor& door) const;
  void logRefusal(const Refusal& refusal, const Peer& peer);

  boost::asio::io_context& io_;
  const Limits& limits_;
  Responder& responder_;
  std::list<SharedDoor> doors_;
  std::unordered_map<Connection*, std::shared_ptr<Connection>> connections_;
  std::uint64_t refusal_logged_ns_ = 0;
  std::uint64_t wrong_token_logged_ns_ = 0;

  std::mutex access_mutex_;
  std::shared_ptr<const Access> access_;  // guarded by access_mutex_
};

}  // namespace lemonade::admin
