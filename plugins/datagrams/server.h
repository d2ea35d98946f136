// SPDX-License-Identifier: MIT
//
// A server as a place to send datagrams to: UDP by name or number, or a Unix socket. Part of each plugin that sends
// any. One thread.
#pragma once

#include "resolver.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace lemonade::datagrams {

/// Where the server is, as it is configured.
struct Address {
  std::string host;        ///< a name or a number without brackets; "" where `path` is set
  std::string port;        ///< decimal, 1 to 65535
  std::string path;        ///< of a Unix socket
  bool is_number = false;  ///< `host` needs no look-up
  std::string text;        ///< as configured

  /// Reads "host:port", "[::1]:port" or "unix:/path". Throws std::invalid_argument, which says what is expected.
  static Address parse(std::string_view text);
};

/// What became of a datagram.
enum class Sent {
  yes,
  full,     ///< the server does not keep up, and the wait was over
  refused,  ///< of UDP: nobody listened when an earlier datagram arrived, which is lost; this one was not sent
  failed,   ///< another reason, see Server::reason
};

/// A socket that is connected to the server. It is opened by the first datagram, again after an error, and again when
/// the name is due to be looked up.
class Server {
 public:
  Server(Address address, std::chrono::nanoseconds resolve_interval);
  ~Server() { close(); }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Has a socket from now on. A name is looked up again where that is due, beside what goes on; only where there is no
  /// socket yet is the answer waited for, at most `wait`. Throws std::runtime_error with the reason where there is
  /// none.
  void open(std::uint64_t now_ns, std::chrono::nanoseconds wait);

  /// Sends one datagram; open() comes first. Waits at most `wait` for a Unix socket that is full, and not at all
  /// otherwise. Opens a Unix socket again whose server has gone.
  Sent send(std::string_view datagram, std::chrono::nanoseconds wait);

  /// Why the last datagram was not sent, for people.
  const std::string& reason() const noexcept { return reason_; }

  /// The next open() looks the name up.
  void doubt() noexcept { resolve_due_ns_ = 0; }

 private:
  void close() noexcept;
  void openPath();
  void openName(std::uint64_t now_ns, std::chrono::nanoseconds wait);
  void connect(const SocketAddress& target);
  /// 0, or the error number of sending.
  int trySend(std::string_view datagram, std::chrono::nanoseconds wait) const noexcept;

  const Address address_;
  const std::chrono::nanoseconds resolve_interval_;
  Resolver resolver_;
  int fd_ = -1;
  std::uint64_t resolve_due_ns_ = 0;
  std::string reason_;
};

}  // namespace lemonade::datagrams
