// SPDX-License-Identifier: MIT
//
// Which sessions part, and what becomes of them: the session set over a scripted relay, with real sockets at both
// sides.
#include "proxy/parting.h"

#include "unit/proxy/one_worker.h"

#include <catch2/catch.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lemonade::proxy {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kQuiet = 500'000'000;
constexpr std::uint64_t kSecond = 1'000'000'000;

std::pair<Fd, Fd> socketPair() {
  int pair[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
  return {Fd(pair[0]), Fd(pair[1])};
}

struct Fixture : OneWorker {
  Fixture() { backends({kA, kB}); }

  /// A session that relays, whose far ends are the last of clients and of servers.
  Session& relaying() {
    auto [client, far_client] = socketPair();
    auto [server, far_server] = socketPair();
    REQUIRE(listener->admission().enter());
    set.add(std::move(client), *Address::parse("192.0.2.1:1234"), 80, *listener);
    Session& session = *relay.sessions.back();
    relay.connected(session);
    Fd(std::exchange(session.backend.fd, server.release())).reset();
    clients.push_back(std::move(far_client));
    servers.push_back(std::move(far_server));
    return session;
  }
  /// One that was answered, for so long.
  Session& quiet(Duration since = 1s) {
    Session& session = relaying();
    exchange(session);
    pass(since);
    return session;
  }
  void exchange(Session& session) {
    meter.bytesIn(session, 5);
    meter.bytesOut(session, 5);
    session.slowest_exchange_ns = 0;  // the meter goes by the real clock
    session.active_at = now();
  }
  /// So many sessions of the first backend are asked to part; how many are over then.
  std::size_t part(std::uint32_t most = 10) {
    PartingOrder order(pool, kQuiet, CloseReason::kRebalance);
    order.add(backend->identity(), most);
    const auto before = counters().parted_rebalance.value();
    set.part(order);
    return counters().parted_rebalance.value() - before;
  }
  std::size_t partAged(std::uint64_t max_age_ns) {
    PartingOrder order(pool, kQuiet, CloseReason::kMaxAge);
    order.setMaxAge(max_age_ns);
    const auto before = counters().parted_max_age.value();
    set.part(order);
    return counters().parted_max_age.value() - before;
  }
  static void send(const Fd& fd, std::string_view bytes) {
    REQUIRE(::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
  }

  std::vector<Fd> clients, servers;
};

}  // namespace

TEST_CASE_METHOD(Fixture, "A quiet session parts: the backend is closed, and its client is sent a FIN", "[proxy]") {
  const Session& session = quiet();
  CHECK(backend->active() == 1);
  CHECK(part() == 1);
  CHECK(session.state == Session::State::kParted);
  CHECK(isClosed(clients[0].get()));
  CHECK(isClosed(servers[0].get()));
  CHECK(backend->active() == 0);
  CHECK(session.client.fd >= 0);
  CHECK(relay.resets == 0);
  CHECK(part() == 0);
}

TEST_CASE_METHOD(Fixture, "A session does not part while it owes or is owed something", "[proxy]") {
  Session& session = quiet();
  SECTION("an answer") { meter.bytesIn(session, 1); }
  SECTION("a first answer") { session.exchanges = 0; }
  SECTION("bytes in a buffer for the client") { session.client.owed = 1; }
  SECTION("bytes in a buffer for the backend") { session.backend.owed = 1; }
  SECTION("bytes that the client has not read") { send(Fd(::dup(session.client.fd)), "answer"); }
  SECTION("bytes that the backend has not read") { send(Fd(::dup(session.backend.fd)), "request"); }
  SECTION("bytes of the client that wait to be read") { send(clients[0], "request"); }
  SECTION("bytes of the backend that wait to be read") { send(servers[0], "answer"); }
  SECTION("its end, of the client") { clients[0].reset(); }
  SECTION("its end, of the backend") { servers[0].reset(); }
  SECTION("the rest of what the client has finished") { session.client.ended = true; }
  CHECK(part() == 0);
  CHECK(session.state == Session::State::kRelaying);
  session.client.owed = session.backend.owed = 0;
}

TEST_CASE_METHOD(Fixture, "A session is quiet once nothing has moved for long enough", "[proxy]") {
  Session& session = quiet(500ms - 1ns);
  CHECK(part() == 0);
  SECTION("as the pool has it") {
    pass(1ns);
    CHECK(part() == 1);
  }
  SECTION("which is as long as its slowest exchange took") {
    session.slowest_exchange_ns = 3 * kSecond;
    pass(2s);
    CHECK(part() == 0);
    pass(1s);
    CHECK(part() == 1);
  }
}

TEST_CASE_METHOD(Fixture, "No more sessions part than are to, and none of other backends or pools", "[proxy]") {
  for (int i = 0; i < 8; ++i) (void)quiet(1ms);
  pass(1s);
  CHECK(part(3) == 3);
  CHECK(part(1) == 1);
  PartingOrder elsewhere(pool, kQuiet, CloseReason::kRebalance);
  elsewhere.add(backend->identity() + 1, 10);
  set.part(elsewhere);
  Pool other("other", quiescence, 1);
  PartingOrder of_other(other, kQuiet, CloseReason::kMaxAge);
  of_other.setMaxAge(1);
  set.part(of_other);
  CHECK(counters().parted_rebalance.value() == 4);
  CHECK(counters().parted_max_age.value() == 0);
}

TEST_CASE_METHOD(Fixture, "A session that has parted is gone when its client closes, or a second later", "[proxy]") {
  Session& session = quiet();
  REQUIRE(part() == 1);
  SECTION("when its client closes") { relay.parted(session, false); }
  SECTION("a second later") {
    pass(1s - 1ns);
    CHECK(count() == 1);
    pass(1ns);
  }
  SECTION("with all the others") { set.closeAll(CloseReason::kDrain); }
  set.endTurn();
  CHECK(count() == 0);
  CHECK(relay.resets == 0);
  CHECK(counters().parted_crossed.value() == 0);
  CHECK(listenerCounters().drain_closed.value() == 0);
}

TEST_CASE_METHOD(Fixture, "A client that was sending something is reset, and counted", "[proxy]") {
  Session& session = quiet();
  REQUIRE(part() == 1);
  relay.parted(session, true);
  set.endTurn();
  CHECK(count() == 0);
  CHECK(relay.resets == 1);
  CHECK(counters().parted_crossed.value() == 1);
}

TEST_CASE_METHOD(Fixture, "A drain lets go of a session that has parted", "[proxy]") {
  Session& session = quiet();
  REQUIRE(part() == 1);
  set.drains().add({}, {now(), now() + 10 * kSecond});
  pass(1ms);
  relay.parted(session, false);
  pass(10s);
  CHECK(count() == 0);
}

TEST_CASE_METHOD(Fixture, "Sessions part between four fifths of their greatest age and all of it", "[proxy]") {
  constexpr int kCount = 200;
  listener = makeListener(kCount);
  for (int i = 0; i < kCount; ++i) exchange(relaying());
  pass(79s);
  CHECK(partAged(100 * kSecond) == 0);
  pass(11s);
  std::size_t parted = 0;
  for (std::size_t now = 1; now != 0; parted += now) now = partAged(100 * kSecond);
  CHECK(parted > kCount / 4);
  CHECK(parted < kCount / 4 * 3);
  pass(10s);
  for (std::size_t now = 1; now != 0; parted += now) now = partAged(100 * kSecond);
  CHECK(parted == kCount);
  pass(1s);
}

TEST_CASE("PartingChoice takes some by chance, each alike", "[proxy]") {
  constexpr std::size_t kAll = 4 * PartingChoice::kMost;
  std::vector<Session> sessions(kAll);
  std::vector<int> taken(kAll);
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    PartingChoice choice(seed << 32);
    for (auto& session : sessions) choice.show(session);
    CHECK(choice.end() - choice.begin() == PartingChoice::kMost);
    for (const Session* one : choice) ++taken[static_cast<std::size_t>(one - sessions.data())];
  }
  CHECK(*std::min_element(taken.begin(), taken.end()) > 50);
  CHECK(*std::max_element(taken.begin(), taken.end()) < 170);
}

}  // namespace lemonade::proxy
