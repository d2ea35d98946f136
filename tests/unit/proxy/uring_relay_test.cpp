// SPDX-License-Identifier: MIT
//
// The relay over io_uring, turn by turn over socket pairs: what its owner is told when, and that the kernel lets go of
// a session that ends. Skipped where the kernel does not offer io_uring.
#include "proxy/uring_relay.h"

#include "base/fd.h"
#include "proxy/relays.h"
#include "support/skip.h"

#include <catch2/catch.hpp>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

using namespace lemonade;
using namespace lemonade::proxy;

namespace {

constexpr int kTurns = 2'000;

struct Told final : Relay::Owner {
  void handleTurn() noexcept override {}
  void handleConnected(Session&) noexcept override {}
  void handleConnectFailed(Session&, int error) noexcept override { connect_error = error; }
  void handleAbandoned(Session&) noexcept override {}
  void handleActivity(Session& session) noexcept override {
    session.state == Session::State::kRelaying ? ++activity : ++misplaced;
  }
  void handleEnding(Session&, Ending) noexcept override { ++ends; }
  void handleNoMemory(Session&) noexcept override { ++ends; }
  void handleParted(Session&, bool) noexcept override {}
  void handleDelivery(Session&) noexcept override { ++deliveries; }

  int connect_error = 0, activity = 0, misplaced = 0, ends = 0, deliveries = 0;
};

/// A session that is relaying, and what is at its far ends.
struct Line {
  Line(UringRelay& relay, Backend& backend, Pool& pool)
      : session(*static_cast<UringSession*>(relay.take(join(client)))) {
    session.backend.fd = join(server).release();
    session.target = &backend;
    session.pool = &pool;
    session.state = Session::State::kRelaying;
  }

  /// One end of a new pair of sockets; the other becomes the peer.
  static Fd join(Fd& peer) {
    int pair[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    peer = Fd(pair[1]);
    return Fd(pair[0]);
  }

  Fd client;
  Fd server;
  UringSession& session;
  bool freed = false;
};

struct Fixture {
  enum class Turns { kNeverWait, kWait };

  explicit Fixture(Turns turns = Turns::kNeverWait) {
    relay.setOwner(owner);
    if (turns == Turns::kNeverWait) relay.leave();  // a turn takes in what there is
  }
  ~Fixture() {
    relay.leave();
    finish();
    relay.detach();
  }

  /// Turns until the condition holds.
  template <class Condition>
  bool turnUntil(Condition&& holds) {
    for (int turn = 0; turn < kTurns; ++turn) {
      if (holds()) return true;
      relay.wait();
    }
    return holds();
  }
  /// Closes what is open; true where the kernel then lets go of the session, which is freed.
  bool finish() { return finish(line); }
  bool finish(Line& ending) {
    if (ending.freed) return true;
    ending.session.state = Session::State::kClosed;
    relay.close(ending.session, Side::kClient, false);
    relay.close(ending.session, Side::kBackend, false);
    ending.freed = turnUntil([&] { return relay.forget(ending.session); });
    if (ending.freed) relay.free(ending.session);
    return ending.freed;
  }
  static UringRelay& attached(UringRelay& relay) {
    relay.attach();
    return relay;
  }

  Backend backend{{.id = "a", .name = "a", .host = "127.0.0.1", .port = 80}, *Address::parse("127.0.0.1:80"), 1};
  Quiescence quiescence{1};
  Pool pool{"default", quiescence, 1};
  Meter meter{0};
  Told owner;
  UringRelay relay{meter};
  Line line{attached(relay), backend, pool};
  UringSession& session = line.session;
  Fd& client = line.client;
  Fd& server = line.server;
};

/// Skips the test where it is not.
bool offered() {
  static const std::string obstacle = whyNoUring();
  if (!obstacle.empty()) test::skip(obstacle);
  return true;
}

}  // namespace

TEST_CASE("UringRelay carries bytes both ways and tells of them", "[proxy]") {
  if (!offered()) return;
  Fixture f;
  f.relay.start(f.session);
  char bytes[8] = {};
  REQUIRE(::send(f.client.get(), "ask", 3, 0) == 3);
  CHECK(f.turnUntil([&] { return ::recv(f.server.get(), bytes, 3, 0) == 3; }));
  CHECK(std::string(bytes) == "ask");
  REQUIRE(::send(f.server.get(), "tell", 4, 0) == 4);
  CHECK(f.turnUntil([&] { return ::recv(f.client.get(), bytes, 4, 0) == 4; }));
  CHECK(std::string(bytes) == "tell");
  CHECK(f.owner.activity > 0);
  CHECK(f.session.exchanges == 1);
  CHECK(f.finish());
}

TEST_CASE("UringRelay tells of delivery and of no activity while a session is being delivered", "[proxy]") {
  if (!offered()) return;
  Fixture f;
  f.relay.start(f.session);
  // The client reads nothing, until nothing moves any more and the send under way is one that waits.
  const std::string piece(64 * 1024, 'x');
  int still = 0;
  REQUIRE(f.turnUntil([&] {
    const bool full = ::send(f.server.get(), piece.data(), piece.size(), MSG_NOSIGNAL) < 0;
    still = full && f.session.client_end.sending ? still + 1 : 0;
    return still == 10;
  }));
  f.session.state = Session::State::kDelivering;
  f.relay.close(f.session, Side::kBackend, false);
  f.relay.deliver(f.session);
  f.owner.activity = 0;
  std::vector<char> bytes(1 << 20);
  CHECK(f.turnUntil([&] {
    while (::recv(f.client.get(), bytes.data(), bytes.size(), 0) > 0) {
    }
    return !f.session.client.isOwed();
  }));
  CHECK(f.owner.deliveries > 0);
  CHECK(f.owner.misplaced == 0);
  CHECK(f.finish());
}

TEST_CASE("UringRelay holds one buffer for a client that reads nothing", "[proxy]") {
  if (!offered()) return;
  Fixture f;
  f.relay.start(f.session);
  const std::string piece(1'000, 'x');  // small ones, so that a second receive is under way when the first send stalls
  int still = 0;
  std::size_t sent = 0;
  REQUIRE(f.turnUntil([&] {
    const ssize_t n = ::send(f.server.get(), piece.data(), piece.size(), MSG_NOSIGNAL);
    if (n > 0) sent += static_cast<std::size_t>(n);
    still = n < 0 && f.session.client_end.stalled ? still + 1 : 0;
    return still == 10;
  }));
  CHECK(f.session.client.owed == 1);
  CHECK(f.relay.pending(f.session, Side::kClient) <= RingBuffers::kSize);
  std::vector<char> bytes(1 << 20);
  std::size_t arrived = 0;
  CHECK(f.turnUntil([&] {
    for (ssize_t n; (n = ::recv(f.client.get(), bytes.data(), bytes.size(), 0)) > 0;)
      arrived += static_cast<std::size_t>(n);
    return arrived == sent;
  }));
  CHECK(f.finish());
}

TEST_CASE("UringRelay lets go of a client whose backends failed", "[proxy]") {
  if (!offered()) return;
  Fixture f;
  f.session.state = Session::State::kConnecting;
  // Nobody listens on the discard port of this address.
  const auto nowhere = *Address::parse("127.0.0.1:9");
  for (int attempt = 0; attempt < 3; ++attempt) {
    f.relay.dropBackend(f.session);
    f.session.backend.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    f.owner.connect_error = 0;
    REQUIRE(f.relay.connect(f.session, nowhere) == Dialer::Connect::kConnecting);
    REQUIRE(f.turnUntil([&] { return f.owner.connect_error != 0; }));
    CHECK(f.owner.connect_error == ECONNREFUSED);
  }
  CHECK(f.finish());
  char byte;
  CHECK(::recv(f.client.get(), &byte, 1, 0) == 0);
}

TEST_CASE("UringRelay comes back to a send that was cut short although nothing else happens", "[proxy]") {
  if (!offered()) return;
  Fixture f(Fixture::Turns::kWait);
  f.relay.start(f.session);
  const std::string piece(4096, 'x');
  while (::send(f.session.client.fd, piece.data(), piece.size(), MSG_DONTWAIT) > 0) {
  }
  REQUIRE(::send(f.server.get(), "last", 4, 0) == 4);
  while (f.session.client.owed == 0) f.relay.wait();
  f.relay.wait();  // the client's socket is full, and nobody is there to say more
  std::string received;
  char bytes[4096];
  while (received.size() < 4 || received.substr(received.size() - 4) != "last") {
    for (ssize_t n; (n = ::recv(f.client.get(), bytes, sizeof(bytes), MSG_DONTWAIT)) > 0;) received.append(bytes, n);
    if (f.session.client.owed != 0) f.relay.wait();
  }
  CHECK(f.session.client.owed == 0);
}

TEST_CASE("UringRelay serves a session that found no buffer although others ask for all there are", "[proxy]") {
  if (!offered()) return;
  Fixture f;
  std::vector<std::unique_ptr<Line>> others;
  for (int i = 0; i < 32; ++i) {  // as many as there are buffers on offer
    others.push_back(std::make_unique<Line>(f.relay, f.backend, f.pool));
    f.relay.start(others.back()->session);
  }
  f.relay.start(f.session);
  REQUIRE(::send(f.client.get(), "ask", 3, 0) == 3);
  char bytes[3];
  int turns = 0;
  for (; turns < 10 && ::recv(f.server.get(), bytes, sizeof(bytes), MSG_DONTWAIT) != 3; ++turns) {
    for (const auto& other : others) REQUIRE(::send(other->client.get(), "more", 4, 0) == 4);
    f.relay.wait();
  }
  CHECK(turns < 10);
  for (const auto& other : others) CHECK(f.finish(*other));
}

namespace {

/// Counts how often it was told, and reads the eventfd that it was told of.
struct Listening final : Guest {
  explicit Listening(int eventfd = -1) : fd(eventfd) {}
  void handleReady(std::uint32_t) noexcept override {
    eventfd_t ignored = 0;
    if (fd >= 0) (void)::eventfd_read(fd, &ignored);
    ++told;
  }

  const int fd;
  int told = 0;
};

/// A relay of one worker, which can be made to take a turn.
struct Waiting {
  Waiting() : bell(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)), rung(bell.get()) {
    relay.setOwner(owner);
    relay.attach();
    relay.addGuest(bell.get(), POLLIN, rung, EventLoop::Wake::kEach);
  }
  void turn() {
    REQUIRE(::eventfd_write(bell.get(), 1) == 0);
    relay.wait();
  }

  Meter meter{0};
  Told owner;
  UringRelay relay{meter};
  Fd bell;
  Listening rung;
};

}  // namespace

TEST_CASE("UringRelay takes no wake-up for a descriptor that it was woken for when it was removed", "[proxy]") {
  if (!offered()) return;
  const Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const auto address = *Address::parse("unix:@lemonade-uring-" + std::to_string(::getpid()));
  REQUIRE(::bind(listener.get(), address.get(), address.size()) == 0);
  REQUIRE(::listen(listener.get(), 4) == 0);
  const auto connect = [&] {
    Fd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(client.get(), address.get(), address.size()) == 0);
    return client;
  };
  Waiting leaves, stays;
  Listening left, told;
  leaves.relay.addGuest(listener.get(), POLLIN, left, EventLoop::Wake::kOne);
  leaves.turn();
  const Fd first = connect();  // for which it is woken, and which somebody else takes
  const Fd taken(::accept(listener.get(), nullptr, nullptr));
  leaves.relay.removeGuest(listener.get());
  stays.relay.addGuest(listener.get(), POLLIN, told, EventLoop::Wake::kOne);
  stays.turn();
  const Fd second = connect();
  stays.turn();
  CHECK(told.told == 1);
  CHECK(left.told == 0);
}
