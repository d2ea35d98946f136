// SPDX-License-Identifier: MIT
//
// The forwarder over socket pairs, one step at a time: what it reads, what it holds back, and what it makes of an end.
#include "proxy/forwarder.h"

#include "base/fd.h"
#include "proxy/ends.h"

#include <catch2/catch.hpp>

#include <sys/socket.h>

#include <string>

using namespace lemonade;
using namespace lemonade::proxy;

namespace {

struct Fixture {
  Fixture() {
    connect(Side::kClient, client);
    connect(Side::kBackend, server);
    session.state = Session::State::kRelaying;
    session.target = &backend;
    session.pool = &pool;
  }

  void connect(Side side, Fd& peer) {
    int pair[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    session.endpoint(side).fd = pair[0];
    session.end(side).readable = session.end(side).writable = true;
    peer = Fd(pair[1]);
  }
  ~Fixture() {
    ::close(session.client.fd);
    ::close(session.backend.fd);
  }

  static void say(const Fd& fd, const std::string& text) {
    REQUIRE(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
  }
  static std::string hear(const Fd& fd) {
    std::string all;
    char bytes[4096];
    for (ssize_t n; (n = ::recv(fd.get(), bytes, sizeof(bytes), 0)) > 0;)
      all.append(bytes, static_cast<std::size_t>(n));
    return all;
  }
  static bool ended(const Fd& fd) {
    char byte;
    return ::recv(fd.get(), &byte, 1, 0) == 0;
  }
  /// As after an edge of the epoll set; what the ends come to after it.
  Ending run() {
    for (const Side side : {Side::kClient, Side::kBackend}) {
      session.end(side).readable = !session.endpoint(side).ended;
      session.end(side).writable = session.end(side).hung_up = true;
    }
    outcome = forwarder.run(session);
    return endingOf(session);
  }

  Backend backend{{.id = "a", .name = "a", .host = "127.0.0.1", .port = 80}, *Address::parse("127.0.0.1:80"), 1};
  Quiescence quiescence{1};
  Pool pool{"default", quiescence, 1};
  Buffers buffers;
  Meter meter{0};
  Forwarder forwarder{buffers, meter};
  Forwarder::Outcome outcome = Forwarder::Outcome::kWait;
  EpollSession session;
  Fd client;
  Fd server;
};

}  // namespace

TEST_CASE_METHOD(Fixture, "Forwarder carries bytes both ways and counts them", "[proxy]") {
  say(client, "question");
  CHECK(run() == Ending::kOpen);
  CHECK(hear(server) == "question");
  say(server, "answer");
  CHECK(run() == Ending::kOpen);
  CHECK(hear(client) == "answer");
  CHECK(session.bytes_in == 8);
  CHECK(session.bytes_out == 6);
  CHECK(session.exchanges == 1);
}

TEST_CASE_METHOD(Fixture, "Forwarder counts a pipeline as one exchange and a greeting as none", "[proxy]") {
  say(server, "220 hello");
  (void)run();
  CHECK(session.exchanges == 0);
  say(client, "one ");
  (void)run();
  say(client, "two ");
  (void)run();
  CHECK(backend.stats().waiting == 1);
  say(server, "both");
  (void)run();
  CHECK(session.exchanges == 1);
  CHECK(backend.stats().waiting == 0);
}

TEST_CASE_METHOD(Fixture, "Forwarder passes a half-close on and still brings the answer", "[proxy]") {
  say(client, "last words");
  ::shutdown(client.get(), SHUT_WR);
  CHECK(run() == Ending::kOpen);
  CHECK(hear(server) == "last words");
  CHECK(ended(server));
  say(server, "answer");
  ::shutdown(server.get(), SHUT_WR);
  CHECK(run() == Ending::kDone);
  CHECK(hear(client) == "answer");
  // The end is told by closing, which is the caller's.
  CHECK(session.client.finished);
}

TEST_CASE_METHOD(Fixture, "Forwarder holds back what a slow reader does not take and loses none of it", "[proxy]") {
  const std::string chunk(Buffer::kSize, 'x');
  std::size_t sent = 0;
  for (int i = 0; i < 64; ++i) {
    const ssize_t n = ::send(client.get(), chunk.data(), chunk.size(), MSG_NOSIGNAL);
    if (n > 0) sent += static_cast<std::size_t>(n);
    (void)run();
  }
  CHECK(session.backend_end.pending != nullptr);
  CHECK(session.bytes_in < sent);  // the rest waits in the kernel
  std::size_t arrived = 0;
  for (int i = 0; i < 1000 && arrived < sent; ++i) {
    arrived += hear(server).size();
    (void)run();
  }
  CHECK(arrived == sent);
  CHECK(session.backend_end.pending == nullptr);
}

TEST_CASE_METHOD(Fixture, "Forwarder gives others their turn before a fast sender is through", "[proxy]") {
  const int room = 1 << 20;
  for (const int fd : {client.get(), session.backend.fd})
    REQUIRE(::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)) == 0);
  say(client, std::string(5 * Buffer::kSize, 'x'));
  (void)run();
  CHECK(outcome == Forwarder::Outcome::kMore);
  CHECK(session.bytes_in == 4 * Buffer::kSize);
  (void)run();
  CHECK(outcome == Forwarder::Outcome::kWait);
  CHECK(session.bytes_in == 5 * Buffer::kSize);
  CHECK(hear(server).size() == 5 * Buffer::kSize);
}

TEST_CASE_METHOD(Fixture, "Forwarder brings the client all that a broken backend sent before it says so", "[proxy]") {
  say(client, "request that nobody reads");
  CHECK(run() == Ending::kOpen);
  say(server, "early answer");
  server.reset();
  CHECK(run() == Ending::kBackendReset);
  CHECK(hear(client) == "early answer");
}

TEST_CASE_METHOD(Fixture, "Forwarder takes an answer for complete whose backend closed before it was written to",
                 "[proxy]") {
  say(server, "answer");
  server.reset();
  say(client, "more that cannot be written");
  CHECK(run() == Ending::kGone);
  CHECK(hear(client) == "answer");
  CHECK(ended(client));
}

TEST_CASE_METHOD(Fixture, "Forwarder takes a side that half-closed and then failed for gone and not for broken",
                 "[proxy]") {
  ::shutdown(client.get(), SHUT_WR);
  CHECK(run() == Ending::kOpen);
  session.client.failed = true;
  CHECK(run() == Ending::kGone);
}

TEST_CASE_METHOD(Fixture, "Forwarder brings the client all that a backend sent before it half-closed and failed",
                 "[proxy]") {
  const std::string answer(Buffer::kSize, 'x');
  std::size_t sent = 0;
  for (ssize_t n; (n = ::send(server.get(), answer.data(), answer.size(), MSG_NOSIGNAL)) > 0;) {
    sent += static_cast<std::size_t>(n);
    CHECK(run() == Ending::kOpen);
  }
  ::shutdown(server.get(), SHUT_WR);
  session.backend.failed = true;
  std::size_t arrived = 0;
  Ending ending = run();
  for (int i = 0; i < 1000 && !(ending == Ending::kGone && session.client_end.pending == nullptr); ++i) {
    arrived += hear(client).size();
    ending = run();
  }
  arrived += hear(client).size();
  CHECK(ending == Ending::kGone);
  CHECK(arrived == sent);
  CHECK(ended(client));
}

TEST_CASE_METHOD(Fixture, "Forwarder lends no buffer to an idle session", "[proxy]") {
  say(client, "question");
  (void)run();
  CHECK(session.client_end.pending == nullptr);
  CHECK(session.backend_end.pending == nullptr);
}
