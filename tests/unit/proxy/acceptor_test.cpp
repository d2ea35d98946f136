// SPDX-License-Identifier: MIT
//
// How a worker takes clients in: the acceptor at real sockets of loopback, in a loop that waits for nothing and tells
// of a socket when the test says so. What becomes of the clients is for the session set over a scripted relay.
#include "proxy/acceptor.h"

#include "unit/proxy/one_worker.h"

#include <catch2/catch.hpp>

#include <poll.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace lemonade::proxy {
namespace {

using namespace std::chrono_literals;
using SocketPtr = std::shared_ptr<const ListeningSocket>;

constexpr std::uint64_t kSecond = 1'000'000'000;

struct Fixture : OneWorker {
  Fixture() { backends({kA}); }

  SocketPtr open() { return ListeningSocket::open(*Address::parse("127.0.0.1:0"), 128, {}).value(); }
  /// A client that connects, and waits in the kernel's queue.
  int connect(const SocketPtr& to) {
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(fd.get(), to->address().get(), to->address().size()) == 0);
    clients.push_back(std::move(fd));
    return clients.back().get();
  }
  Address ownAddress(int fd) {
    sockaddr_storage local{};
    socklen_t size = sizeof(local);
    auto* const any = reinterpret_cast<sockaddr*>(&local);
    REQUIRE(::getsockname(fd, any, &size) == 0);
    return Address(any, size);
  }
  bool isWatched(const SocketPtr& socket) const { return relay.guests.contains(socket->fd()); }
  /// The loop tells that somebody waits there.
  void ready(const SocketPtr& socket) {
    REQUIRE(isWatched(socket));
    relay.guests.at(socket->fd())->handleReady(POLLIN);
  }
  void end(Session& session) {
    relay.abandoned(session);
    set.endTurn();
  }
  static bool isReadable(int fd) {
    pollfd entry{fd, POLLIN, 0};
    return ::poll(&entry, 1, 0) == 1;
  }

  std::vector<Fd> clients;
  Sharing sharing{mailboxes, clock};
  Acceptor acceptor{0, set, relay, sharing, mailbox, clock};
};

}  // namespace

TEST_CASE_METHOD(Fixture, "Acceptor makes a session of each client that waits at its sockets", "[proxy]") {
  const auto one = open(), two = open();
  acceptor.listen(listener, one);
  acceptor.listen(listener, two);
  const int client = connect(one);
  (void)connect(one);
  (void)connect(two);
  ready(one);
  REQUIRE(count() == 2);
  CHECK(relay.sessions[0]->client_address == ownAddress(client));
  CHECK(relay.sessions[0]->local_port == one->address().port());
  ready(two);
  REQUIRE(count() == 3);
  CHECK(relay.sessions[2]->local_port == two->address().port());
  CHECK(listener->admission().taken() == 3);
  CHECK(acceptor.nextDue() == 0);
}

TEST_CASE_METHOD(Fixture, "Acceptor takes no place for a socket at which nobody waits after all", "[proxy]") {
  const auto socket = open();
  acceptor.listen(listener, socket);
  ready(socket);
  CHECK(listener->admission().taken() == 0);
  CHECK(listenerCounters().accept_errors.value() == 0);
  CHECK(isWatched(socket));
}

TEST_CASE_METHOD(Fixture, "Acceptor leaves the sockets of a listener that is full, and comes back when there is room",
                 "[proxy]") {
  listener = makeListener(2);
  const auto socket = open();
  acceptor.listen(listener, socket);
  for (int i = 0; i < 3; ++i) (void)connect(socket);
  ready(socket);
  CHECK(count() == 2);
  CHECK_FALSE(isWatched(socket));
  CHECK(listener->admission().fullSince() == now());
  CHECK(listenerCounters().waited.value() == 0);
  CHECK(woken == 0);

  end(*relay.sessions[0]);
  CHECK(woken == 1);
  acceptor.resume();
  CHECK(count() == 2);
  CHECK(listenerCounters().waited.value() == 1);
  CHECK_FALSE(isWatched(socket));  // full again

  end(*relay.sessions[0]);
  CHECK(woken == 2);
  acceptor.resume();
  CHECK(isWatched(socket));
  CHECK(count() == 1);
}

TEST_CASE_METHOD(Fixture, "Acceptor that is full at one listener takes the clients of another", "[proxy]") {
  const auto full = makeListener(1, "full"), other = makeListener(1, "other");
  const auto one = open(), two = open();
  acceptor.listen(full, one);
  acceptor.listen(other, two);
  for (int i = 0; i < 2; ++i) (void)connect(one);
  ready(one);
  CHECK_FALSE(isWatched(one));
  (void)connect(two);
  ready(two);
  REQUIRE(count() == 2);
  CHECK(relay.sessions[1]->listener == other.get());
  set.closeAll(CloseReason::kDrain);
  acceptor.resume();  // the client that waited
  CHECK(count() == 1);
  set.closeAll(CloseReason::kDrain);
  acceptor.stop();
}

TEST_CASE_METHOD(Fixture, "Acceptor takes one client from each socket of a listener in turn when there is room",
                 "[proxy]") {
  listener = makeListener(1);
  const auto one = open(), two = open();
  acceptor.listen(listener, one);
  acceptor.listen(listener, two);
  for (int i = 0; i < 3; ++i) (void)connect(one);
  for (int i = 0; i < 2; ++i) (void)connect(two);
  ready(one);
  std::vector<std::uint16_t> ports;
  for (int i = 0; i < 4; ++i) {
    end(*relay.sessions[0]);
    acceptor.resume();
    REQUIRE(count() == 1);
    ports.push_back(relay.sessions[0]->local_port);
  }
  const std::uint16_t a = one->address().port(), b = two->address().port();
  CHECK((ports == std::vector{a, b, a, b} || ports == std::vector{b, a, b, a}));
}

TEST_CASE_METHOD(Fixture, "Acceptor that gets no descriptor leaves all sockets for a tenth of a second", "[proxy]") {
  const auto socket = open(), other = open();
  acceptor.listen(listener, socket);
  acceptor.listen(listener, other);
  (void)connect(socket);
  {
    const test::FewDescriptors none(0);
    ready(socket);
  }
  CHECK(count() == 0);
  CHECK(listenerCounters().accept_errors.value() == 1);
  CHECK(listener->admission().taken() == 0);
  CHECK_FALSE(isWatched(socket));
  CHECK_FALSE(isWatched(other));
  CHECK(acceptor.nextDue() == now() + kSecond / 10);

  const auto later = open();
  acceptor.listen(listener, later);
  CHECK_FALSE(isWatched(later));
  clock.advance(100ms - 1ns);
  acceptor.handleDue(now());
  CHECK(count() == 0);
  clock.advance(1ns);
  acceptor.handleDue(now());
  CHECK(count() == 1);
  CHECK(acceptor.nextDue() == 0);
  for (const auto& each : {socket, other, later}) CHECK(isWatched(each));
}

TEST_CASE_METHOD(Fixture, "Acceptor hands a client to the worker that has far fewer, and wakes it once", "[proxy]") {
  const auto socket = open();
  acceptor.listen(listener, socket);
  mailbox.counters.sessions.add(20);
  Mailbox& other = mailboxes[1];
  other.inbox.open();
  const Address first = ownAddress(connect(socket));
  (void)connect(socket);
  ready(socket);
  mailbox.counters.sessions.subtract(20);
  CHECK(count() == 0);
  CHECK(other.inbox.waiting() == 2);
  CHECK(other.inbox.waitingSince() == now());
  CHECK(isReadable(other.wake_fd.get()));
  CHECK(listener->admission().taken() == 2);
  auto newcomers = other.inbox.takeAll();
  REQUIRE(newcomers != nullptr);
  CHECK(newcomers->address == first);
  CHECK(newcomers->local_port == socket->address().port());
  CHECK(newcomers->listener == listener.get());
  for (; newcomers != nullptr; newcomers = std::move(newcomers->next)) listener->admission().leave();
}

TEST_CASE_METHOD(Fixture, "Acceptor keeps a client that the other worker refuses", "[proxy]") {
  const auto socket = open();
  acceptor.listen(listener, socket);
  mailbox.counters.sessions.add(20);
  (void)connect(socket);
  ready(socket);
  mailbox.counters.sessions.subtract(20);
  CHECK(count() == 1);
}

TEST_CASE_METHOD(Fixture, "Acceptor makes sessions of the clients that it was handed", "[proxy]") {
  const auto socket = open();
  acceptor.listen(listener, socket);
  int pair[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  clients.emplace_back(pair[1]);
  REQUIRE(listener->admission().enter());
  auto newcomer =
      std::make_unique<Newcomer>(Newcomer{Fd(pair[0]), *Address::parse("192.0.2.1:1234"), 80, listener.get(), nullptr});
  REQUIRE(mailbox.inbox.put(newcomer, now()) == Inbox::Handed::kFirst);
  acceptor.takeNewcomers();
  REQUIRE(count() == 1);
  CHECK(relay.sessions[0]->client_address.text() == "192.0.2.1:1234");
  CHECK(relay.sessions[0]->local_port == 80);
  CHECK(mailbox.inbox.waiting() == 0);
}

TEST_CASE_METHOD(Fixture, "Acceptor takes in the clients that wait at a socket before it lets go of it", "[proxy]") {
  const auto stays = open();
  auto goes = open();
  acceptor.listen(listener, stays);
  acceptor.listen(listener, goes);
  mailbox.counters.sessions.add(20);
  mailboxes[1].inbox.open();  // nobody else gets them
  for (int i = 0; i < 2; ++i) (void)connect(goes);
  acceptor.unlisten(*goes);
  mailbox.counters.sessions.subtract(20);
  CHECK(count() == 2);
  CHECK_FALSE(isWatched(goes));
  CHECK(isWatched(stays));
  CHECK(goes.use_count() == 1);
}

TEST_CASE_METHOD(Fixture, "Acceptor that lets go of the last socket of a full listener wants no room any more",
                 "[proxy]") {
  listener = makeListener(1);
  const auto socket = open();
  acceptor.listen(listener, socket);
  for (int i = 0; i < 2; ++i) (void)connect(socket);
  ready(socket);
  acceptor.unlisten(*socket);
  CHECK(count() == 1);
  end(*relay.sessions[0]);
  CHECK(woken == 0);
}

TEST_CASE_METHOD(Fixture, "Acceptor leaves the clients that wait to others when it leaves, but not those it was handed",
                 "[proxy]") {
  const auto socket = open();
  acceptor.listen(listener, socket);
  (void)connect(socket);
  int pair[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  clients.emplace_back(pair[1]);
  REQUIRE(listener->admission().enter());
  auto newcomer = std::make_unique<Newcomer>(Newcomer{Fd(pair[0]), {}, 80, listener.get(), nullptr});
  (void)mailbox.inbox.put(newcomer, now());
  acceptor.leave();
  CHECK(count() == 1);
  CHECK(relay.guests.empty());
  CHECK_FALSE(mailbox.inbox.isOpen());
  CHECK(isReadable(socket->fd()));  // the one that waits
}

TEST_CASE_METHOD(Fixture, "Acceptor looks for clients of whom the kernel has told another worker", "[proxy]") {
  const auto socket = open();
  acceptor.listen(listener, socket);
  (void)connect(socket);
  acceptor.look();
  CHECK(count() == 1);
}

TEST_CASE_METHOD(Fixture, "Acceptor gives the clients that wait at a socket to the listener that it goes to",
                 "[proxy]") {
  const auto other = makeListener(10, "other");
  const auto socket = open();
  acceptor.listen(listener, socket);
  (void)connect(socket);
  acceptor.listen(other, socket);
  acceptor.listen(other, socket);  // which changes nothing
  CHECK(count() == 0);
  ready(socket);
  REQUIRE(count() == 1);
  CHECK(relay.sessions[0]->listener == other.get());
  CHECK(listener->admission().taken() == 0);
  set.closeAll(CloseReason::kDrain);
  acceptor.stop();
}

TEST_CASE_METHOD(Fixture, "Acceptor has the header of a PROXY protocol read before there is a session", "[proxy]") {
  config::Listener config;
  config.accept_proxy = config::AcceptProxy::kBoth;
  config.trusted = {config::Network::parse("127.0.0.0/8").value()};
  config.header_timeout = 3s;
  listener = makeListener(config);
  const auto socket = open();
  acceptor.listen(listener, socket);
  const int client = connect(socket);
  ready(socket);
  CHECK(count() == 0);
  CHECK(listener->admission().taken() == 1);
  CHECK(acceptor.nextDue() == now() + 3 * kSecond);
  const int reading =
      relay.guests.rbegin()->first == socket->fd() ? relay.guests.begin()->first : relay.guests.rbegin()->first;
  constexpr std::string_view kHeader = "PROXY TCP4 203.0.113.7 198.51.100.7 4711 443\r\n";
  REQUIRE(::send(client, kHeader.data(), kHeader.size(), 0) == static_cast<ssize_t>(kHeader.size()));
  relay.guests.at(reading)->handleReady(POLLIN);
  REQUIRE(count() == 1);
  CHECK(relay.sessions[0]->client_address.text() == "203.0.113.7:4711");
  CHECK(relay.sessions[0]->local_port == 443);
  CHECK(acceptor.nextDue() == 0);
}

}  // namespace lemonade::proxy
