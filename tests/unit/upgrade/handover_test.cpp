// SPDX-License-Identifier: MIT
#include "upgrade/handover.h"

#include "balance/feedback.h"
#include "upgrade/handing_over.h"
#include "upgrade/heritage.h"
#include "upgrade/totals.h"

#include <sys/socket.h>

#include <catch2/catch.hpp>

#include <future>
#include <limits>
#include <thread>

using namespace std::chrono_literals;
using namespace lemonade;
using namespace lemonade;

namespace {

/// One with a number of its own in every field.
std::unique_ptr<Handover> example() {
  auto handover = std::make_unique<Handover>();
  handover->accepting = false;
  handover->processes = 2;
  handover->sessions = 3;
  std::uint64_t next = 100;
  const auto fill = [&](auto& counters) {
    forEachTotal(&counters, [&](const char*, auto total) {
      if constexpr (std::is_same_v<std::remove_reference_t<decltype(counters.*total)>, Counter>)
        (counters.*total).set(++next);
      else
        for (int i = 0; i < 3; ++i) (counters.*total).record(++next * 1'000'000);
    });
  };
  for (const auto* name : {"default", "web"}) {
    fill(totalsOf(handover->totals.listeners, name).counters);
    fill(totalsOf(handover->totals.pools, name).counters);
    totalsOf(handover->totals.pools, name).ejections.set(++next);
  }
  addUp(handover->totals);
  handover->totals.checks.set(std::numeric_limits<std::uint64_t>::max());
  handover->totals.upgrades.set(4);
  handover->plugin_totals.push_back({"com.example.p", "served_total", -5});
  handover->sink_totals.push_back({"log", {11, 12, 13, 14}});
  auto& state = handover->backends.emplace_back();
  state.identity = 0xFFFF'FFFF'FFFF'FFF1;
  state.checked = true;
  state.healthy = false;
  state.reason = "it said \"no\"\n\x01";
  state.since_unix_ns = 6;
  state.exchange_ewma_ns = 1234567.890123;
  state.error_rate = 0.125F;
  state.doubts = 7;
  state.standing = {
      .ejected = true, .reason = "hung", .ejected_ns = 8, .until_ns = 9, .in_a_row = 2, .checks_decide = true};
  state.ramp_began_ns = 10;
  fill(*state.totals);
  handover->names.push_back(
      {"srv:_http._tcp.example", {{"a.example", 80, 1, 2, {*Address::parse("10.0.0.1", 0)}, {}}}});
  handover->strategy = "com.example.s";
  handover->strategy_state = Strategy::State{"com.example.s/1", std::string("\0\xFF\n", 3) + std::string(1000, 'x')};
  handover->strategies.push_back({"default", handover->strategy, handover->strategy_state});
  handover->strategies.push_back({"web", "com.example.t", std::nullopt});
  addCalls(handover->totals.plugin_faults, "com.example.p", "pick", "SIGSEGV", 21);
  addCalls(handover->totals.slow_calls, "com.example.p", "prepare", "", 22);
  handover->quarantined.push_back({"com.example.p", "2.0.0", "/p.so", "abc", 3, "pick", "SIGSEGV in pick", 23});
  handover->events.push_back(
      {"plugin_quarantined", "it is", "web", "a", {{"plugin", "com.example.p"}, {"empty", ""}}, 31, 32});
  handover->event_spans.push_back({30, 31});
  handover->overrides.push_back({"web", "a", "10.0.0.1:80", 14, 2, 5, 15, 16, 17, "127.0.0.1:40000"});
  return handover;
}

std::string problem(std::string_view text) {
  const auto decoded = decode(text);
  return decoded ? "" : decoded.error().message;
}

std::shared_ptr<Backend> backend(const std::string& id) {
  config::Backend settings;
  settings.id = id;
  return std::make_shared<Backend>(settings, *Address::parse("127.0.0.1:80"), 1);
}

}  // namespace

TEST_CASE("Every counter but those that count what is now is a total", "[app]") {
  const BackendCounters backend;
  [[maybe_unused]] const auto& [b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, b11, b12, b13, b14, b15] = backend;
  const ListenerCounters listener;
  [[maybe_unused]] const auto& [l1, l2, l3, l4, l5, l6, l7, l8, l9, l10, l11, l12, l13, l14, l15, l16, l17, l18, l19,
                                l20] = listener;
  const PoolCounters pool;
  [[maybe_unused]] const auto& [p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11, p12, p13, p14, p15, p16, p17, p18, p19,
                                p20, p21, p22, p23, p24, p25, p26] = pool;
  const auto count = [](const auto& counters) {
    int totals = 0;
    forEachTotal(&counters, [&](const char*, auto) { ++totals; });
    return totals;
  };
  CHECK(count(backend) == 15);
  CHECK(count(listener) == 20 - 1);
  CHECK(count(pool) == 26 - 2);
}

TEST_CASE("A handover that is written and read is the same", "[app]") {
  const auto before = example();
  const std::string text = encode(*before);
  auto read = decode(text);
  REQUIRE(read);
  Handover& after = *read.value();
  CHECK(encode(after) == text);
  CHECK_FALSE(after.accepting);
  CHECK(after.totals.checks.value() == std::numeric_limits<std::uint64_t>::max());
  const auto* web = findTotals(after.totals.listeners, "web");
  REQUIRE(web != nullptr);
  CHECK(web->counters.drain_closed.value() ==
        findTotals(before->totals.listeners, "web")->counters.drain_closed.value());
  REQUIRE(findTotals(after.totals.pools, "web") != nullptr);
  CHECK(findTotals(after.totals.pools, "web")->ejections.value() ==
        findTotals(before->totals.pools, "web")->ejections.value());
  REQUIRE(after.strategies.size() == 2);
  CHECK(after.strategies[0].pool == "default");
  CHECK(after.strategies[0].state->bytes == before->strategy_state->bytes);
  CHECK_FALSE(after.strategies[1].state);
  REQUIRE(after.sink_totals.size() == 1);
  CHECK(after.sink_totals[0].sink == "log");
  CHECK(after.sink_totals[0].losses.dropped_health_events == 12);
  CHECK(after.sink_totals[0].losses.dropped_records == 13);
  REQUIRE(after.backends.size() == 1);
  CHECK(after.backends[0].identity == 0xFFFF'FFFF'FFFF'FFF1);
  CHECK(after.backends[0].reason == before->backends[0].reason);
  CHECK(after.backends[0].exchange_ewma_ns == 1234567.890123);
  CHECK(after.backends[0].totals->duration.sumNs() == before->backends[0].totals->duration.sumNs());
  REQUIRE(after.names.size() == 1);
  CHECK(after.names[0].targets == before->names[0].targets);
  REQUIRE(after.totals.plugin_faults.size() == 1);
  CHECK(after.totals.plugin_faults.front().count.value() == 21);
  REQUIRE(after.quarantined.size() == 1);
  CHECK(after.quarantined[0].since_unix_ns == 23);
  REQUIRE(after.events.size() == 1);
  CHECK(after.events[0].fields == before->events[0].fields);
  REQUIRE(after.overrides.size() == 1);
  CHECK(after.overrides[0].pool == "web");
  CHECK(after.overrides[0].value == 5);
  CHECK(after.overrides[0].by == "127.0.0.1:40000");
  REQUIRE(after.strategy_state);
  CHECK(after.strategy_state->bytes == before->strategy_state->bytes);
}

TEST_CASE("What is no handover of this version is refused with a reason", "[app]") {
  CHECK_THAT(problem(""), Catch::Contains("no JSON"));
  CHECK_THAT(problem("[]"), Catch::Contains("does not say what format"));
  CHECK_THAT(problem("{\"sessions\":1}"), Catch::Contains("does not say what format"));
  CHECK_THAT(problem("{\"format\":\"lemonade-handover/2\"}"), Catch::Contains("its format is lemonade-handover/2"));
  const std::string text = encode(*example());
  CHECK_THAT(problem(text.substr(0, text.size() / 2)), Catch::Contains("no JSON"));
  CHECK_THAT(problem("{\"format\":\"lemonade-handover/1\",\"sessions\":\"many\"}"),
             Catch::Contains("another kind of sessions"));
  CHECK_THAT(problem("{\"format\":\"lemonade-handover/1\",\"backends\":[{\"totals\":{\"duration\":[1,99,1]}}]}"),
             Catch::Contains("another kind of duration"));
  CHECK_THAT(problem("{\"format\":" + std::string(100'000, '[')), Catch::Contains("no JSON"));
}

TEST_CASE("A handover of a later version with more fields, or fewer, is read as far as it is known", "[app]") {
  auto read = decode(R"({"format":"lemonade-handover/1","news":{"a":[1]},"backends":[{"identity":7,"mood":"good"}]})");
  REQUIRE(read);
  REQUIRE(read.value()->backends.size() == 1);
  CHECK(read.value()->backends[0].identity == 7);
  CHECK(read.value()->backends[0].healthy);
}

TEST_CASE("A handover of version 0.2.0 is that of the listener and the pool called default", "[app]") {
  auto read = decode(R"({"format":"lemonade-handover/1","totals":{"proxy":{"accepted":5,"retries":6},"checks":7,)"
                     R"("ejections":8},"strategy":"s","strategy_state":{"format":"f","bytes":"eA=="}})");
  REQUIRE(read);
  const Handover& handover = *read.value();
  const auto* listener = findTotals(handover.totals.listeners, "default");
  REQUIRE(listener != nullptr);
  CHECK(listener->counters.accepted.value() == 5);
  const auto* pool = findTotals(handover.totals.pools, "default");
  REQUIRE(pool != nullptr);
  CHECK(pool->counters.retries.value() == 6);
  CHECK(pool->checks.value() == 7);
  CHECK(pool->ejections.value() == 8);
  REQUIRE(handover.strategies.size() == 1);
  CHECK(handover.strategies[0].pool == "default");
  CHECK(handover.strategies[0].state->bytes == "x");
}

TEST_CASE("A handover has the sums that version 0.2.0 reads", "[app]") {
  ProcessTotals totals;
  totalsOf(totals.listeners, "one").counters.accepted.set(1);
  totalsOf(totals.listeners, "two").counters.accepted.set(2);
  totalsOf(totals.pools, "one").counters.retries.set(3);
  totalsOf(totals.pools, "two").counters.retries.set(4);
  totalsOf(totals.pools, "two").checks.set(5);
  addUp(totals);
  CHECK(totals.proxy.listeners.accepted.value() == 3);
  CHECK(totals.proxy.pools.retries.value() == 7);
  CHECK(totals.checks.value() == 5);
}

TEST_CASE("A handover goes from one process to the next when it is asked for", "[app]") {
  auto [one, other] = supervisor::makeChannel();
  SECTION("it is told") {
    std::thread tells([fd = other.get()] {
      supervisor::Message message;
      while (supervisor::receive(fd, message) != supervisor::Received::kMessage) std::this_thread::yield();
      CHECK(message.what == kAsk);
      CHECK(tellHandover(fd, *example()));
    });
    const auto got = askForHandover(one.get(), 10s);
    tells.join();
    REQUIRE(got);
    CHECK(encode(*got.value()) == encode(*example()));
  }
  SECTION("nobody answers") {
    CHECK_THAT(askForHandover(one.get(), 20ms).error().message, Catch::Contains("did not answer in time"));
  }
  SECTION("the other end is closed unread") {
    other.reset();
    CHECK_FALSE(askForHandover(one.get(), 10s));
  }
  SECTION("the answer has no text") {
    REQUIRE(supervisor::send(other.get(), kTold));
    CHECK_THAT(askForHandover(one.get(), 10s).error().message, Catch::Contains("without its text"));
  }
}

TEST_CASE("A backend takes over what was known of it and its totals go on", "[app]") {
  ControlLoop loop;
  loop.start();
  Quiescence quiescence(1);
  Pool pool("default", quiescence, 1);
  plugin::MetricCells cells;
  health::Checks checks(loop);
  health::Monitor monitor(loop, checks, [](const auto&) {});
  health::Ejector ejector(loop, pool, [](const auto&) {});
  Heritage heritage(cells);
  const auto known = backend("known"), unknown = backend("unknown");
  const View::Backends backends{known, unknown};
  (void)pool.setBackends(backends);

  auto handover = example();
  handover->accepting = true;
  auto& state = handover->backends[0];
  state.identity = known->identity();
  state.standing = {
      .ejected = true, .reason = "hung", .ejected_ns = nowNs(), .until_ns = nowNs() + 3'600'000'000'000, .in_a_row = 2};
  const std::uint64_t sessions = state.totals->sessions.value();
  lemonade_metric_cell_t* cell = nullptr;
  REQUIRE(cells.find("com.example.p", LEMONADE_METRIC_COUNTER, "served_total", "", &cell) == LEMONADE_OK);

  loop.run([&] {
    monitor.setBackends(backends);
    ejector.configure({});
    ejector.setBackends(backends);
    heritage.begin(std::move(handover));
    CHECK(heritage.adopt(backends, monitor, ejector) == 1);
    CHECK(heritage.adopt(backends, monitor, ejector) == 0);
    CHECK_FALSE(known->healthy());
    CHECK(known->healthReason() == "it said \"no\"\n\x01");
    CHECK(known->healthSinceUnixNs() == 6);
    CHECK(monitor.checked(*known));
    CHECK_FALSE(monitor.checked(*unknown));
    CHECK(known->ejected());
    CHECK(ejector.standing(*known).in_a_row == 2);
    CHECK(known->stats().exchange_ewma_ns == 1234567.890123);
    CHECK(feedback::doubts(*known) == 7);

    known->counters(0).sessions.add(5);
    const auto again = stateOf(*known, monitor, ejector);
    CHECK(again.totals->sessions.value() == sessions + 5);
    CHECK(again.standing.reason == "hung");
    CHECK(again.ramp_began_ns == 10);

    // What the process before counts while it drains is added, not counted twice.
    auto later = example();
    later->backends[0].identity = known->identity();
    later->backends[0].totals->sessions.set(sessions + 2);
    heritage.update(*later, backends);
    CHECK(stateOf(*known, monitor, ejector).totals->sessions.value() == sessions + 7);
    CHECK(heritage.totals()->upgrades.value() == 5);
    CHECK(heritage.processes() == 2);
    heritage.end();
    CHECK(heritage.processes() == 0);
    CHECK(heritage.sessions() == 0);
    CHECK(stateOf(*known, monitor, ejector).totals->sessions.value() == sessions + 7);
  });
  cells.forEach([](const auto& metric) { CHECK(metric.value() == -5); });
  loop.run([&] {
    monitor.stop();
    ejector.stop();
  });
  loop.stop();
}

TEST_CASE("Reading waits until the process before answers no more, and no longer", "[app]") {
  plugin::MetricCells cells;
  {
    Heritage alone(cells);
    alone.awaitLatest();  // there is none to wait for
  }
  Heritage heritage(cells);
  auto handover = example();
  handover->accepting = true;
  heritage.begin(std::move(handover));
  auto waits = std::async(std::launch::async, [&] { heritage.awaitLatest(); });
  CHECK(waits.wait_for(50ms) == std::future_status::timeout);
  heritage.update(*example(), {});  // which accepts no more
  CHECK(waits.wait_for(2s) == std::future_status::ready);
}
