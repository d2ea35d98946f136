// SPDX-License-Identifier: MIT
//
// A TCP socket that cannot hang a test: every operation has a deadline, and what goes wrong is an exception with a
// sentence. One thread at a time for each socket, except shutdownBoth().
#pragma once

#include "base/fd.h"
#include "support/deadline.h"

#include <sys/socket.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace lemonade::test {

/// The peer reset the connection (or refused it).
class ResetError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Nothing happened in time.
class TimeoutError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// How a connection looks from this end.
enum class End {
  kOpen,    ///< neither end nor bytes came in time
  kBytes,   ///< bytes came
  kClosed,  ///< the peer finished sending
  kReset,   ///< the peer reset it
};

class Socket {
 public:
  Socket() = default;
  explicit Socket(Fd fd) : fd_(std::move(fd)) {}

  /// Connects to "127.0.0.1:80" or "[::1]:80"; from is the address of this end where that matters. Throws ResetError
  /// where it is refused.
  static Socket connect(const std::string& address, const std::string& from = "", Millis within = 10s);

  int fd() const { return fd_.get(); }

  /// Sends all of it. Throws ResetError or TimeoutError.
  void send(std::string_view bytes, Millis within = 20s);
  /// Sends what fits without waiting; returns how much that was.
  std::size_t sendSome(std::string_view bytes);

  /// Receives at least one byte and at most capacity; 0 at the end. Throws ResetError or TimeoutError.
  std::size_t receiveSome(char* to, std::size_t capacity, Millis within = 20s);
  /// Receives exactly size bytes, fewer only where the peer finishes before.
  std::string receive(std::size_t size, Millis within = 20s);
  /// Receives up to and without the next newline, or up to the end.
  std::string receiveLine(Millis within = 20s);
  /// Receives until the peer finishes.
  std::string receiveAll(Millis within = 20s);

  /// What happens first within the time; takes no bytes away.
  End next(Millis within = 10s);
  /// True where the connection stays open and silent that long.
  bool staysOpen(Millis during) { return next(during) == End::kOpen; }

  /// Half-closes: no more bytes from this end.
  void finishSending();
  /// Closes with a reset.
  void reset();
  void close() { fd_.reset(); }
  /// Ends both directions without closing, so that a thread in a call on this socket returns. Any thread.
  void shutdownBoth() { ::shutdown(fd_.get(), SHUT_RDWR); }

  /// Address and port of this end and of the other one.
  std::string localAddress() const;
  std::string peerAddress() const;

 private:
  void waitFor(short events, const Deadline& deadline, const char* what);

  Fd fd_;
};

/// A listening socket on an address such as "127.0.0.1:0"; not blocking.
Fd listenOn(const std::string& address, int backlog = 1024);
/// A socket that is bound and not listening.
Fd bindTo(const std::string& address);
/// The local address of a socket, as text.
std::string localAddressOf(int fd);
/// The port of an address such as "127.0.0.1:80".
std::uint16_t portOf(const std::string& address);

}  // namespace lemonade::test
