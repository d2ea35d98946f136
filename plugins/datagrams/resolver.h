// SPDX-License-Identifier: MIT
//
// Looks a name up without holding its caller up: each look-up has a thread of its own, which shares nothing with the
// resolver but the answer and is left behind where a name server never answers.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lemonade::datagrams {

/// An address as connect() takes it.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

/// What a look-up came to.
struct Found {
  std::vector<SocketAddress> addresses;  ///< in the order of preference; empty where there is a problem
  std::string problem;                   ///< for people
};

class Resolver {
 public:
  /// `port` is decimal.
  Resolver(std::string host, std::string port) : host_(std::move(host)), port_(std::move(port)) {}

  /// Begins a look-up, unless one is under way. Throws std::system_error where there can be no thread.
  void start();

  /// The answer of the look-up under way, once; nothing where there is none within `wait`.
  std::optional<Found> take(std::chrono::nanoseconds wait);

 private:
  struct Lookup;

  const std::string host_;
  const std::string port_;
  std::shared_ptr<Lookup> lookup_;  // the one under way
};

}  // namespace lemonade::datagrams
