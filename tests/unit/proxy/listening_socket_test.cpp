// SPDX-License-Identifier: MIT
//
// Sockets that listen, and that keep their port while they do not, at loopback.
#include "proxy/listening_socket.h"

#include "support/socket.h"

#include <catch2/catch.hpp>

#include <sys/socket.h>

#include <memory>
#include <string>

namespace lemonade::proxy {
namespace {

using SocketPtr = std::shared_ptr<const ListeningSocket>;

SocketPtr listenAt(const std::string& address, const ListeningSocket::Sockets& going = {}) {
  auto opened = ListeningSocket::open(*Address::parse(address), 8, {}, going);
  REQUIRE(opened);
  return std::move(opened).value();
}

/// Whether another program, which is willing to share like most, can listen there.
bool isFree(const Address& address) {
  const Fd fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  REQUIRE(::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0);
  return ::bind(fd.get(), address.get(), address.size()) == 0 && ::listen(fd.get(), 1) == 0;
}

bool isRefused(const Address& address) {
  try {
    (void)test::Socket::connect(address.text());
    return false;
  } catch (const test::ResetError&) {
    return true;
  }
}

}  // namespace

TEST_CASE("A listening socket that refuses keeps its port from others, and listens there again", "[proxy]") {
  const std::string address = GENERATE("127.0.0.1:0", "[::1]:0");
  CAPTURE(address);
  const auto socket = listenAt(address);
  const Address bound = socket->address();
  REQUIRE(bound.port() != 0);
  CHECK(socket->listens());
  auto live = test::Socket::connect(bound.text());
  const Fd accepted(::accept(socket->fd(), nullptr, nullptr));  // one that lives, and holds the port as well
  socket->refuse();
  CHECK_FALSE(socket->listens());
  CHECK(isRefused(bound));
  CHECK_FALSE(isFree(bound));
  socket->tune(8, {});
  CHECK(socket->listens());
  CHECK_FALSE(isRefused(bound));
  CHECK_FALSE(isFree(bound));
}

TEST_CASE("A listening socket gets a port that the system chooses, each another one", "[proxy]") {
  const auto one = listenAt("127.0.0.1:0"), other = listenAt("127.0.0.1:0");
  CHECK(one->address().port() != other->address().port());
  CHECK(one->requested().port() == 0);
}

TEST_CASE("A listening socket opens beside one that goes, also where that refuses", "[proxy]") {
  const auto going = listenAt("127.0.0.1:0");
  going->refuse();
  const auto wide = listenAt("0.0.0.0:" + std::to_string(going->address().port()), {going});
  CHECK_FALSE(isRefused(going->address()));
  CHECK_FALSE(isFree(going->address()));
}

}  // namespace lemonade::proxy
