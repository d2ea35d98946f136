// SPDX-License-Identifier: MIT
//
// What becomes of a session, and when: the session set and its connector over a scripted relay, with a pool in this
// process. Nothing here waits.
#include "proxy/session_set.h"

#include "unit/proxy/one_worker.h"

#include <catch2/catch.hpp>

#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <vector>

namespace lemonade::proxy {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kSecond = 1'000'000'000;

struct Fixture : OneWorker {
  /// A client comes, to what its PROXY header names where that is an address; null where its session is over already.
  Session* client(const Address& destination = {}) {
    int pair[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    peers.emplace_back(pair[1]);
    REQUIRE(listener->admission().enter());
    const std::size_t before = relay.sessions.size();
    set.add(Fd(pair[0]), *Address::parse("192.0.2.1:1234"), 80, *listener, destination);
    return relay.sessions.size() > before ? relay.sessions.back() : nullptr;
  }
  Session* relaying() {
    Session* const session = client();
    REQUIRE(session != nullptr);
    relay.connected(*session);
    return session;
  }

  std::vector<Fd> peers;
};

}  // namespace

TEST_CASE_METHOD(Fixture, "SessionSet relays once the backend is connected", "[proxy]") {
  backends({kA});
  Session* const session = client();
  REQUIRE(session != nullptr);
  CHECK(session->state == Session::State::kConnecting);
  CHECK(relay.dialled == std::vector<std::string>{kA});
  relay.connected(*session);
  CHECK(session->state == Session::State::kRelaying);
  CHECK(relay.started == 1);
  CHECK(backend->counters(0).sessions.value() == 1);
}

TEST_CASE_METHOD(Fixture, "SessionSet tells a strategy that needs it where the client came to", "[proxy]") {
  backends({kA, kB});
  REQUIRE(client() != nullptr);
  CHECK(strategy.local_family == LEMONADE_FAMILY_UNIX);  // what the socket says
  CHECK(strategy.local_byte == 0);
  Session* const named = client(*Address::parse("198.51.100.7:443"));
  REQUIRE(named != nullptr);
  CHECK(strategy.local_family == LEMONADE_FAMILY_IPV4);
  CHECK(strategy.local_byte == 7);

  strategy.local_family = 0;
  relay.connectFailed(*named, ECONNREFUSED);  // another pick, which is told the same
  CHECK(strategy.local_family == LEMONADE_FAMILY_IPV4);
}

TEST_CASE_METHOD(Fixture, "SessionSet tries another backend at once where a connect fails", "[proxy]") {
  backends({kA, kB});
  relay.connects = {ECONNREFUSED};
  Session* const session = client();
  REQUIRE(session != nullptr);
  CHECK(relay.dialled == std::vector<std::string>{kA, kB});
  CHECK(session->state == Session::State::kConnecting);
  CHECK(counters().retries.value() == 1);
  CHECK(backend->counters(0).connect_refused.value() == 1);
}

TEST_CASE_METHOD(Fixture, "SessionSet pauses where no backend is left, and gives up after its retries", "[proxy]") {
  backends({kA});
  pool.settings().retries = 2;
  relay.connects = {ECONNREFUSED, ECONNREFUSED, ECONNREFUSED};
  Session* const session = client();
  REQUIRE(session != nullptr);
  CHECK(session->state == Session::State::kPausing);
  CHECK(set.nextDue() == now() + kSecond);
  pass(1s - 1ns);
  CHECK(relay.dialled.size() == 1);
  pass(1ns);
  CHECK(relay.dialled.size() == 2);
  REQUIRE(count() == 1);
  pass(1s);
  CHECK(relay.dialled.size() == 3);
  CHECK(count() == 0);
  CHECK(counters().connect_failed.value() == 1);
}

TEST_CASE_METHOD(Fixture, "SessionSet ends a connect that takes too long, and tries the next backend", "[proxy]") {
  backends({kA, kB});
  pool.settings().connect_timeout_ns = 3 * kSecond;
  Session* const session = client();
  REQUIRE(session != nullptr);
  CHECK(set.nextDue() == now() + 3 * kSecond);
  pass(3s - 1ns);
  CHECK(relay.dialled.size() == 1);
  pass(1ns);
  CHECK(relay.dialled == std::vector<std::string>{kA, kB});
  CHECK(backend->counters(0).connect_timeouts.value() == 1);
}

TEST_CASE_METHOD(Fixture, "SessionSet closes a client for whom no backend is there", "[proxy]") {
  backends({});
  CHECK(client() == nullptr);
  CHECK(counters().no_backend.value() == 1);
}

TEST_CASE_METHOD(Fixture, "SessionSet resets a client that the strategy rejects", "[proxy]") {
  backends({kA});
  strategy.instead = LEMONADE_PICK_REJECT;
  CHECK(client() == nullptr);
  CHECK(relay.resets == 1);
  CHECK(relay.dialled.empty());
  CHECK(counters().strategy_rejected.value() == 1);
}

TEST_CASE_METHOD(Fixture, "SessionSet gives a place that becomes free to the client that waits longest", "[proxy]") {
  backends({kA}, 1);
  Session* const first = relaying();
  Session* const second = client();
  Session* const third = client();
  REQUIRE(third != nullptr);
  CHECK(second->state == Session::State::kQueued);
  CHECK(third->state == Session::State::kQueued);
  CHECK(counters().queued.value() == 2);
  relay.ended(*first, Ending::kDone);
  set.handlePlaces();
  CHECK(second->state == Session::State::kConnecting);
  CHECK(third->state == Session::State::kQueued);
  CHECK(relay.dialled.size() == 2);
  CHECK(count() == 2);
  relay.abandoned(*second);
  set.handlePlaces();
  CHECK(third->state == Session::State::kConnecting);
  CHECK(counters().queued.value() == 0);
}

TEST_CASE_METHOD(Fixture, "SessionSet closes a client whose time in the queue is over", "[proxy]") {
  backends({kA}, 1);
  pool.settings().queue_timeout_ns = 2 * kSecond;
  (void)relaying();
  Session* const second = client();
  REQUIRE(second != nullptr);
  pass(2s - 1ns);
  CHECK(count() == 2);
  pass(1ns);
  CHECK(count() == 1);
  CHECK(counters().queue_timeouts.value() == 1);
}

TEST_CASE_METHOD(Fixture, "SessionSet has nobody queue where queue_timeout is 0", "[proxy]") {
  backends({kA}, 1);
  pool.settings().queue_timeout_ns = 0;
  (void)relaying();
  CHECK(client() == nullptr);
  CHECK(counters().no_backend.value() == 1);
}

TEST_CASE_METHOD(Fixture, "SessionSet closes a session on which no byte moved for idle_timeout", "[proxy]") {
  backends({kA});
  listener->settings().idle_timeout_ns = 10 * kSecond;
  (void)relaying();
  pass(10s - 1ns);
  CHECK(count() == 1);
  pass(157ms);  // up to a 64th more
  CHECK(count() == 0);
  CHECK(backend->counters(0).idle_timeouts.value() == 1);
}

TEST_CASE_METHOD(Fixture, "SessionSet closes a session whose backend ended after half_close_timeout", "[proxy]") {
  backends({kA});
  listener->settings().half_close_timeout_ns = 4 * kSecond;
  Session* const session = relaying();
  session->backend.ended = true;
  relay.ended(*session, Ending::kOpen);
  pass(4s - 1ns);
  CHECK(count() == 1);
  pass(4s + 1ns);
  CHECK(count() == 0);
}

TEST_CASE_METHOD(Fixture, "SessionSet ends the sessions of a backend that drains, and no others", "[proxy]") {
  backends({kA, kB}, 1);
  Session* const at_a = relaying();
  Session* const at_b = relaying();
  REQUIRE(at_b->target != at_a->target);
  at_a->target->setDraining(true);
  set.drains().add({.pool = &pool, .backend = at_a->target->identity()}, {now() + kSecond, now() + 2 * kSecond});
  pass(1s - 1ns);
  CHECK(count() == 2);
  pass(1ns);
  pass(1s);
  REQUIRE(count() == 1);
  CHECK(relay.sessions[0] == at_b);
}

TEST_CASE_METHOD(Fixture, "SessionSet waits for a descriptor, and connects once there is one", "[proxy]") {
  backends({kA});
  int pair[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
  peers.emplace_back(pair[1]);
  REQUIRE(listener->admission().enter());
  {
    const test::FewDescriptors none(0);
    set.add(Fd(pair[0]), *Address::parse("192.0.2.1:1234"), 80, *listener);
  }
  REQUIRE(count() == 1);
  Session* const session = relay.sessions[0];
  CHECK(session->state == Session::State::kNoDescriptor);
  CHECK(counters().descriptor_waits.value() == 1);
  CHECK(relay.dialled.empty());
  pass(49ms);
  CHECK(session->state == Session::State::kNoDescriptor);
  pass(1ms);
  CHECK(session->state == Session::State::kConnecting);
  CHECK(relay.dialled.size() == 1);
}

TEST_CASE_METHOD(Fixture, "SessionSet frees the place of a client that left before it was connected", "[proxy]") {
  backends({kA}, 1);
  Session* const session = client();
  REQUIRE(session != nullptr);
  relay.abandoned(*session);
  set.endTurn();
  CHECK(count() == 0);
  CHECK(counters().abandoned.value() == 1);
  CHECK(client() != nullptr);
  CHECK(relay.dialled.size() == 2);
}

}  // namespace lemonade::proxy
