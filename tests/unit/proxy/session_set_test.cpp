// SPDX-License-Identifier: MIT
//
// What becomes of a session, and when: the session set and its connector over a scripted relay, with a pool in this
// process. Time is what the test hands to handleDue(), so nothing here waits.
#include "proxy/session_set.h"

#include "unit/proxy/scripted_relay.h"

#include <catch2/catch.hpp>

#include <sys/resource.h>
#include <sys/socket.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

namespace lemonade::proxy {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

/// Takes the first backend that may be picked, or what the test says.
struct FirstOf {
  std::uint32_t instead = 0;  ///< what the strategy answers in place of a backend; 0: a backend
};

lemonade_strategy_t makeTable() {
  lemonade_strategy_t table{};
  table.struct_size = sizeof(table);
  table.destroy = [](void*) noexcept {};
  table.lane_create = [](void*, std::uint32_t, void**, lemonade_error_t*) noexcept {
    return lemonade_status_t{LEMONADE_OK};
  };
  table.lane_destroy = [](void*, void*) noexcept {};
  table.prepare = [](void*, const lemonade_view_t*, void**, lemonade_error_t*) noexcept {
    return lemonade_status_t{LEMONADE_OK};
  };
  table.release = [](void*, void*) noexcept {};
  table.pick = [](void* self, void*, const void*, const lemonade_connection_t* connection, const lemonade_view_t* view,
                  std::uint64_t*) noexcept {
    if (const auto instead = static_cast<FirstOf*>(self)->instead; instead != 0) return instead;
    for (std::uint32_t i = 0; i < view->eligible_count; ++i)
      if (lemonade_may_pick(connection, view, view->eligible[i]) != 0) return view->eligible[i];
    return std::uint32_t{LEMONADE_PICK_NONE};
  };
  table.event = [](void*, void*, const lemonade_strategy_event_t*) noexcept {};
  return table;
}

/// No descriptor can be had while this lives.
class NoDescriptors {
 public:
  NoDescriptors() {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
    rlimit none = before_;
    none.rlim_cur = 0;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  }
  ~NoDescriptors() { (void)::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

struct Fixture {
  Fixture() {
    static const lemonade_strategy_t table = makeTable();
    pool.setStrategy(Strategy::make(Strategy::Instance(table, &strategy, {"first", "1", "", 1}, nullptr), 1).value());
    pool.onPlaceOffered([this](std::uint32_t, PoolAtWorker& at) { mailbox.offers.put(at); });
    const ListenerSpec spec{std::make_shared<const config::Listener>(), {}, {}, &pool};
    listener = std::make_unique<Listener>(spec, 1, [](std::uint32_t) {});
  }
  ~Fixture() {
    set.closeAll(CloseReason::kDrain);
    CHECK(relay.sessions.empty());
    CHECK(listener->admission().taken() == 0);
    pool.clear();
  }

  /// The pool has these backends from now on, with at most so many sessions each; 0: any number.
  void backends(const std::vector<std::string>& addresses, std::uint32_t limit = 0) {
    View::Backends all;
    for (const auto& text : addresses) {
      const auto address = *Address::parse(text);
      all.push_back(std::make_shared<Backend>(
          config::Backend{
              .id = text, .name = text, .host = "10.0.0.1", .port = address.port(), .max_connections = limit},
          address, 1));
    }
    backend = all.empty() ? nullptr : all.front();
    pool.setBackends(all);
    pool.publish();
  }
  /// A client comes; null where its session is over already.
  Session* client() {
    int pair[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    peers.emplace_back(pair[1]);
    REQUIRE(listener->admission().enter());
    const std::size_t before = relay.sessions.size();
    set.add(Fd(pair[0]), *Address::parse("192.0.2.1:1234"), 80, *listener);
    return relay.sessions.size() > before ? relay.sessions.back() : nullptr;
  }
  Session* relaying() {
    Session* const session = client();
    REQUIRE(session != nullptr);
    relay.connected(*session);
    return session;
  }
  const PoolCounters& counters() { return pool.at(0).counters; }
  std::size_t count() const { return relay.sessions.size(); }

  static constexpr const char* kA = "10.0.0.1:1";
  static constexpr const char* kB = "10.0.0.1:2";

  FirstOf strategy;
  Quiescence quiescence{1};
  Pool pool{"default", quiescence, 1};
  std::shared_ptr<Backend> backend;
  std::unique_ptr<Listener> listener;
  std::atomic<std::uint32_t> serving{1};
  Mailbox mailbox;
  Meter meter{0};
  ScriptedRelay relay;
  std::vector<Fd> peers;
  SessionSet set{0, relay, meter, serving, mailbox};
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
  const std::uint64_t again_at = session->again_at;
  set.handleDue(again_at - 1);
  CHECK(relay.dialled.size() == 1);
  set.handleDue(again_at);
  CHECK(relay.dialled.size() == 2);
  REQUIRE(count() == 1);
  set.handleDue(session->again_at);
  CHECK(relay.dialled.size() == 3);
  CHECK(count() == 0);
  CHECK(counters().connect_failed.value() == 1);
}

TEST_CASE_METHOD(Fixture, "SessionSet ends a connect that takes too long, and tries the next backend", "[proxy]") {
  backends({kA, kB});
  pool.settings().connect_timeout_ns = 3 * kSecond;
  Session* const session = client();
  REQUIRE(session != nullptr);
  const std::uint64_t began = session->listed_at;
  set.handleDue(began + 3 * kSecond - 1);
  CHECK(relay.dialled.size() == 1);
  CHECK(set.nextDue() <= began + 3 * kSecond);
  set.handleDue(began + 3 * kSecond);
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
  const std::uint64_t queued_at = second->queued_at;
  set.handleDue(queued_at + 2 * kSecond - 1);
  CHECK(count() == 2);
  set.handleDue(queued_at + 2 * kSecond);
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
  Session* const session = relaying();
  const std::uint64_t since = session->listed_at;
  set.handleDue(since + 10 * kSecond - 1);
  CHECK(count() == 1);
  set.handleDue(since + 10 * kSecond + 10 * kSecond / 64);
  CHECK(count() == 0);
  CHECK(backend->counters(0).idle_timeouts.value() == 1);
}

TEST_CASE_METHOD(Fixture, "SessionSet closes a session whose backend ended after half_close_timeout", "[proxy]") {
  backends({kA});
  listener->settings().half_close_timeout_ns = 4 * kSecond;
  Session* const session = relaying();
  session->backend.ended = true;
  relay.ended(*session, Ending::kOpen);
  const std::uint64_t since = session->listed_at;
  set.handleDue(since + 4 * kSecond - 1);
  CHECK(count() == 1);
  set.handleDue(since + 8 * kSecond);
  CHECK(count() == 0);
}

TEST_CASE_METHOD(Fixture, "SessionSet ends the sessions of a backend that drains, and no others", "[proxy]") {
  backends({kA, kB}, 1);
  Session* const at_a = relaying();
  Session* const at_b = relaying();
  REQUIRE(at_b->target != at_a->target);
  at_a->target->setDraining(true);
  const std::uint64_t begin = at_b->listed_at;
  set.drains().add({.pool = &pool, .backend = at_a->target->identity()}, {begin + kSecond, begin + 2 * kSecond});
  set.handleDue(begin + kSecond - 1);
  CHECK(count() == 2);
  set.handleDue(begin + kSecond);
  set.handleDue(begin + 2 * kSecond);
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
    const NoDescriptors none;
    set.add(Fd(pair[0]), *Address::parse("192.0.2.1:1234"), 80, *listener);
  }
  REQUIRE(count() == 1);
  Session* const session = relay.sessions[0];
  CHECK(session->state == Session::State::kNoDescriptor);
  CHECK(counters().descriptor_waits.value() == 1);
  CHECK(relay.dialled.empty());
  set.handleDue(session->listed_at + kSecond);
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
