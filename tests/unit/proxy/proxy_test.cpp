// SPDX-License-Identifier: MIT
//
// Many listeners that lead to many pools: the whole data path with real workers and real sockets, driven as control
// does it, by the thread of the test.
#include "proxy/proxy.h"

#include "support/server.h"
#include "support/socket.h"

#include <catch2/catch.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace lemonade::proxy {
namespace {

using namespace lemonade::test;

/// Takes the first eligible backend that may be picked.
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
  table.pick = [](void*, void*, const void*, const lemonade_connection_t* connection, const lemonade_view_t* view,
                  std::uint64_t*) noexcept {
    for (std::uint32_t i = 0; i < view->eligible_count; ++i)
      if (lemonade_may_pick(connection, view, view->eligible[i]) != 0) return view->eligible[i];
    return std::uint32_t{LEMONADE_PICK_NONE};
  };
  table.event = [](void*, void*, const lemonade_strategy_event_t*) noexcept {};
  return table;
}

constexpr std::uint32_t kWorkers = 2;

/// A pool with one backend, which says the name of the pool for each byte that comes.
struct Upstream {
  Upstream(const std::string& name, Proxy& proxy, Quiescence& quiescence, std::uint32_t limit)
      : server([name](Socket& client) {
          for (char byte; client.receiveSome(&byte, 1) != 0;) client.send(name);
        }),
        pool(std::make_unique<Pool>(name, quiescence, kWorkers)) {
    static const lemonade_strategy_t table = makeTable();
    pool->setStrategy(
        Strategy::make(Strategy::Instance(table, nullptr, {"first", "1", "", 1}, nullptr), kWorkers).value());
    const auto address = *Address::parse(server.address());
    backend = std::make_shared<Backend>(
        config::Backend{
            .id = name, .name = name, .host = "127.0.0.1", .port = address.port(), .max_connections = limit},
        address, kWorkers);
    pool->setBackends({backend});
    pool->publish();
    proxy.attach(*pool);
  }

  Server server;
  std::shared_ptr<Backend> backend;
  std::unique_ptr<Pool> pool;
};

struct Fixture {
  Fixture() { REQUIRE(proxy.prepareWorkers(kWorkers)); }
  ~Fixture() {
    proxy.stop();
    for (auto& upstream : upstreams)
      if (upstream->pool != nullptr) upstream->pool->clear();
  }

  Upstream& upstream(const std::string& name, std::uint32_t limit = 0) {
    upstreams.push_back(std::make_unique<Upstream>(name, proxy, quiescence, limit));
    return *upstreams.back();
  }
  static ListenerSpec spec(const std::string& name, const Upstream& to, std::uint32_t most = 100,
                           Duration idle_timeout = 1h) {
    config::Listener config;
    config.idle_timeout = idle_timeout;
    config.name = name;
    config.max_connections = most;
    return {std::make_shared<const config::Listener>(config), {*Address::parse("127.0.0.1:0")}, {}, to.pool.get()};
  }
  /// Has these listeners and no others.
  void listen(std::vector<ListenerSpec> specs, Duration drain = 10s) {
    auto opened = proxy.open(std::move(specs), inherited);
    REQUIRE(opened);
    proxy.listen(std::move(opened).value(), drainTime(nowNs(), drain));
    if (std::exchange(started, true)) return;
    proxy.setWorkers(kWorkers, drainTime(nowNs(), drain));
    proxy.start();
  }
  std::string address(std::size_t listener) const {
    return proxy.listeners()[listener]->sockets().front()->address().text();
  }
  Socket connect(std::size_t listener) const { return Socket::connect(address(listener)); }
  /// What the backend says when the client asks.
  static std::string ask(Socket& client, std::size_t size) {
    client.send("?");
    return client.receive(size);
  }
  /// What control does until nothing is left to free.
  std::size_t reclaim() {
    proxy.wake();
    return quiescence.reclaim() + proxy.reap();
  }

  Quiescence quiescence{kWorkers};
  std::vector<std::unique_ptr<Upstream>> upstreams;
  InheritedDescriptors inherited;
  Proxy proxy{quiescence, RelayKind::kEpoll};
  bool started = false;
};

std::uint64_t queued(const Pool& pool) {
  std::uint64_t queued = 0;
  for (const auto* counters : pool.counters()) queued += counters->queued.value();
  return queued;
}

}  // namespace

TEST_CASE_METHOD(Fixture, "Each listener leads to its pool", "[proxy]") {
  auto& web = upstream("web");
  auto& sql = upstream("sql");
  listen({spec("web", web), spec("sql", sql), spec("sql2", sql)});
  Socket a = connect(0), b = connect(1), c = connect(2);
  CHECK(ask(a, 3) == "web");
  CHECK(ask(b, 3) == "sql");
  CHECK(ask(c, 3) == "sql");
  CHECK(web.pool->sessions() == 1);
  CHECK(sql.pool->sessions() == 2);
  CHECK(proxy.sessions() == 3);
}

TEST_CASE_METHOD(Fixture, "A listener that is full has its own clients wait, and no others", "[proxy]") {
  auto& web = upstream("web");
  listen({spec("full", web, 1), spec("other", web, 10)});
  Socket first = connect(0);
  CHECK(ask(first, 3) == "web");
  Socket waiting = connect(0);
  waiting.send("?");
  CHECK(eventually([&] { return proxy.listeners()[0]->admission().fullSince() != 0; }));
  for (int i = 0; i < 5; ++i) {
    Socket other = connect(1);
    CHECK(ask(other, 3) == "web");
  }
  CHECK(proxy.listeners()[0]->admission().taken() == 1);
  first.close();
  CHECK(waiting.receive(3) == "web");
}

TEST_CASE_METHOD(Fixture, "A pool that is full queues its own clients, and serves them when a place is free",
                 "[proxy]") {
  auto& full = upstream("one", 1);
  auto& other = upstream("two");
  listen({spec("full", full), spec("other", other)});
  Socket first = connect(0);
  CHECK(ask(first, 3) == "one");
  std::vector<Socket> waiting;
  for (std::size_t i = 1; i <= 4; ++i) {  // one by one: workers that accept at once queue their clients in any order
    waiting.push_back(connect(0));
    REQUIRE(eventually([&] { return queued(*full.pool) == i; }));
  }
  for (int i = 0; i < 5; ++i) {
    Socket client = connect(1);
    CHECK(ask(client, 3) == "two");
  }
  CHECK(queued(*other.pool) == 0);
  first.close();
  for (auto& client : waiting) {
    CHECK(ask(client, 3) == "one");
    client.close();
  }
}

TEST_CASE_METHOD(Fixture, "A queue is served when a new view has a place, though none was offered", "[proxy]") {
  auto& full = upstream("one", 1);
  listen({spec("full", full)});
  Socket first = connect(0);
  CHECK(ask(first, 3) == "one");
  Socket waiting = connect(0);
  CHECK(eventually([&] { return queued(*full.pool) == 1; }));
  full.backend->apply({.id = "one", .name = "one", .host = "127.0.0.1", .max_connections = 2});
  full.pool->publish();
  proxy.wake();
  CHECK(ask(waiting, 3) == "one");
}

TEST_CASE_METHOD(Fixture, "Queued clients leave after the queue timeout of their own pool", "[proxy]") {
  auto& hasty = upstream("one", 1);
  auto& patient = upstream("two", 1);
  hasty.pool->settings().queue_timeout_ns = 50'000'000;
  patient.pool->settings().queue_timeout_ns = 3'600'000'000'000;
  listen({spec("hasty", hasty), spec("patient", patient)});
  Socket one = connect(0), two = connect(1);
  CHECK(ask(one, 3) == "one");
  CHECK(ask(two, 3) == "two");
  Socket stays = connect(1);
  CHECK(eventually([&] { return queued(*patient.pool) == 1; }));
  CHECK(connect(0).next() == End::kClosed);
  CHECK(queued(*patient.pool) == 1);
  two.close();
  CHECK(ask(stays, 3) == "two");
}

TEST_CASE_METHOD(Fixture, "A pool whose backend hangs holds up its own clients, and no others", "[proxy]") {
  constexpr int kHanging = 20;
  auto& hangs = upstream("one");
  auto& healthy = upstream("two");
  const BlackHole deaf;
  const auto address = *Address::parse(deaf.address());
  hangs.pool->setBackends({std::make_shared<Backend>(
      config::Backend{.id = "deaf", .name = "deaf", .host = "127.0.0.1", .port = 80}, address, kWorkers)});
  hangs.pool->publish();
  hangs.pool->settings().connect_timeout_ns = 3'600'000'000'000;
  hangs.pool->settings().retries = 0;
  listen({spec("hangs", hangs), spec("healthy", healthy)});
  std::vector<Socket> waiting;
  for (int i = 0; i < kHanging; ++i) waiting.push_back(connect(0));
  CHECK(eventually([&] { return hangs.pool->sessions() == kHanging; }));
  for (int i = 0; i < 20; ++i) {
    Socket client = connect(1);
    CHECK(ask(client, 3) == "two");
  }
  CHECK(hangs.pool->sessions() == kHanging);
  hangs.pool->settings().connect_timeout_ns = 1'000'000;
  proxy.lookAtTimeouts();
  for (auto& client : waiting) CHECK(client.next() != End::kOpen);
  std::uint64_t failed = 0;
  for (const auto* counters : hangs.pool->counters()) failed += counters->connect_failed.value();
  CHECK(failed == kHanging);
}

TEST_CASE_METHOD(Fixture, "A listener that leads elsewhere does so for new sessions, old ones keep their pool",
                 "[proxy]") {
  auto& before = upstream("old");
  auto& after = upstream("new");
  listen({spec("web", before)});
  Socket old = connect(0);
  CHECK(ask(old, 3) == "old");
  const std::string where = address(0);
  listen({spec("web", after)});
  CHECK(address(0) == where);
  Socket fresh = connect(0);
  CHECK(ask(fresh, 3) == "new");
  CHECK(ask(old, 3) == "old");
  CHECK(before.pool->sessions() == 1);

  CHECK_FALSE(proxy.isUnused(*before.pool));
  old.close();
  CHECK(eventually([&] { return reclaim(), proxy.isUnused(*before.pool); }));
  before.pool.reset();
  CHECK(ask(fresh, 3) == "new");
}

TEST_CASE_METHOD(Fixture, "A listener that is removed takes no clients, drains, and is freed after its last session",
                 "[proxy]") {
  auto& web = upstream("web");
  listen({spec("stays", web), spec("goes", web)});
  Socket ends = connect(1), drained = connect(1), stays = connect(0);
  for (auto* client : {&ends, &drained, &stays}) CHECK(ask(*client, 3) == "web");
  const std::weak_ptr<Listener> watched = proxy.listeners()[1];
  const std::string gone = address(1);
  listen({spec("stays", web)}, 500ms);
  const auto isRefused = [&]() -> bool {
    try {
      (void)Socket::connect(gone);
    } catch (const ResetError&) {
      return true;
    }
    return false;
  };
  CHECK(eventually(isRefused));  // a worker lets go of the socket at the end of its turn
  CHECK(proxy.allListeners().size() == 2);
  CHECK(reclaim() != 0);
  ends.close();
  CHECK(drained.next() == End::kClosed);
  CHECK(eventually([&] { return reclaim() == 0; }));
  CHECK(watched.expired());
  CHECK(proxy.allListeners().size() == 1);
  CHECK(ask(stays, 3) == "web");
}

TEST_CASE_METHOD(Fixture, "A socket goes from one listener to another with the clients that wait there", "[proxy]") {
  auto& one = upstream("one");
  auto& two = upstream("two");
  listen({spec("first", one, 1)});
  Socket holds = connect(0);
  CHECK(ask(holds, 3) == "one");
  Socket waits = connect(0);
  waits.send("?");
  listen({spec("second", two)});
  CHECK(waits.receive(3) == "two");
  CHECK(ask(holds, 3) == "one");
}

TEST_CASE_METHOD(Fixture, "A timeout that a reload makes shorter ends sessions that there are", "[proxy]") {
  auto& web = upstream("web");
  const auto other = spec("other", web);
  listen({spec("web", web), other});
  Socket idle = connect(0), stays = connect(1);
  CHECK(ask(idle, 3) == "web");
  CHECK(ask(stays, 3) == "web");
  listen({spec("web", web, 100, 50ms), other});
  proxy.lookAtTimeouts();
  CHECK(idle.next() == End::kClosed);
  CHECK(ask(stays, 3) == "web");
}

TEST_CASE_METHOD(Fixture, "Proxy holds listeners together to what descriptors allow", "[proxy]") {
  auto& web = upstream("web");
  listen({spec("one", web, 30), spec("two", web, 10)});
  const auto limits = [&] {
    std::vector<std::uint32_t> all;
    for (const auto& listener : proxy.listeners()) all.push_back(listener->admission().limit());
    return all;
  };
  CHECK(limits() == std::vector<std::uint32_t>{30, 10});
  CHECK(proxy.maxConnections() == 40);
  proxy.holdTo(20);
  CHECK(limits() == std::vector<std::uint32_t>{15, 5});
  Socket client = connect(0), second = connect(0);
  CHECK(ask(client, 3) == "web");
  CHECK(ask(second, 3) == "web");
  proxy.holdToPresent();
  CHECK(limits() == std::vector<std::uint32_t>{2, 1});
  listen({spec("one", web, 40), spec("two", web, 40)});
  CHECK(limits() == std::vector<std::uint32_t>{2, 1});
  proxy.holdTo(1000);
  CHECK(limits() == std::vector<std::uint32_t>{40, 40});
}

TEST_CASE_METHOD(Fixture, "Draining tells once the sessions of all listeners have ended", "[proxy]") {
  auto& web = upstream("web");
  listen({spec("one", web), spec("two", web)});
  Socket one = connect(0), two = connect(1);
  CHECK(ask(one, 3) == "web");
  CHECK(ask(two, 3) == "web");
  std::atomic<bool> empty{false};
  proxy.drain(drainTime(nowNs(), 60s), [&] { empty = true; });
  one.close();
  CHECK(eventually([&] { return proxy.sessions() == 1; }));
  CHECK_FALSE(empty);
  two.close();
  CHECK(eventually([&] { return empty.load(); }));
}

}  // namespace lemonade::proxy
