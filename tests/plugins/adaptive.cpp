// SPDX-License-Identifier: MIT
#include "support/strategy_fixture.h"
#include "support/traffic.h"

#include <catch2/catch.hpp>

using namespace lemonade::test;

namespace {

void measured(StrategyFixture& strategy, std::uint32_t index, std::uint64_t latency_ns) {
  strategy.stats(index).exchange_ewma_ns = static_cast<double>(latency_ns);
  strategy.stats(index).sampled_at_ns = strategy.now();
}

/// Backends with the latencies in milliseconds, measured just now.
void measuredAll(StrategyFixture& strategy, const std::vector<std::uint64_t>& milliseconds) {
  for (std::uint32_t i = 0; i < milliseconds.size(); ++i) measured(strategy, i, milliseconds[i] * kMillisecond);
}

}  // namespace

TEST_CASE("the least product of latency and work wins", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(2));
  measuredAll(strategy, {9, 3});
  CHECK(strategy.sequence(3) == "bbb");
  strategy.open(1, 2);  // 9 * 1 against 3 * 3, and then more
  strategy.open(1);
  strategy.stats(1).quiet = 1;
  CHECK(strategy.sequence(3) == "aaa");
  strategy.stats(1).quiet = 2;  // 3 * (1 + 1 + 0.6)
  CHECK(strategy.sequence(3) == "bbb");
}

TEST_CASE("a quiet session is less work than any other", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(2));
  measuredAll(strategy, {5, 5});
  strategy.open(0, 3);
  strategy.stats(0).quiet = 3;  // 1 + 0.3 * 3 = 1.9
  strategy.open(1);             // 1 + 1
  CHECK(strategy.sequence(3) == "aaa");
  strategy.open(0);
  ++strategy.stats(0).quiet;  // 2.2
  CHECK(strategy.sequence(3) == "bbb");
}

TEST_CASE("work is counted for each unit of weight", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, weightedBackends({1, 4}));
  measuredAll(strategy, {5, 5});
  strategy.open(0);
  strategy.open(1, 6);  // 2 against 7 / 4
  CHECK(strategy.sequence(2) == "bb");
  strategy.open(1, 2);  // 9 / 4
  CHECK(strategy.sequence(2) == "aa");
}

TEST_CASE("backends without samples are tried at once but with few sessions", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(4));
  for (std::uint32_t i = 0; i < 3; ++i) measured(strategy, i, 5 * kMillisecond);
  CHECK(strategy.sequence(2) == "dd");
  for (int i = 0; i < 30; ++i) {
    strategy.open(strategy.pick());
    strategy.advance(kMillisecond);
  }
  CHECK(strategy.stats(3).active == 2);
}

TEST_CASE("what is known grows old with time and with traffic", "[strategy]") {
  const bool busy = GENERATE(true, false);
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(3));
  measured(strategy, 0, 50 * kMillisecond);
  const auto step = [&] {
    measured(strategy, 1, 5 * kMillisecond);
    measured(strategy, 2, 5 * kMillisecond);
    strategy.stats(1).picks += busy ? 1'000 : 5;
  };
  std::string picks;
  for (int second = 0; second < 12; ++second) {
    step();
    picks += strategy.sequence(1);
    strategy.advance(kSecond);
  }
  // 50 ms * 2^-t is below 5 ms from t = 3.32 half-lives on: of one second each, or of 100 / 5 = 20.
  if (busy) {
    CHECK(picks.substr(0, 4).find('a') == std::string::npos);
    CHECK(picks.substr(4) == "aaaaaaaa");
  } else {
    CHECK(picks.substr(2).find('a') == std::string::npos);
  }
}

TEST_CASE("a backend that fails is not attractive for being idle", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(4));
  measuredAll(strategy, {5, 5, 5, 5});
  for (std::uint32_t i = 0; i < 3; ++i) strategy.open(i, 20);
  for (int i = 0; i < 3; ++i) strategy.fail(3);
  CHECK(strategy.shares(30) == std::vector<std::size_t>{10, 10, 10, 0});
}

TEST_CASE("exchanges that wait count before they are answered", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(4));
  measuredAll(strategy, {1, 5, 5, 5});
  CHECK(strategy.sequence(2) == "aa");
  strategy.ask(0);
  strategy.advance(50 * kMillisecond);
  CHECK(strategy.sequence(3).find('a') == std::string::npos);
}

TEST_CASE("a single failure does not empty a backend", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(2));
  measuredAll(strategy, {5, 5});
  strategy.fail(1);
  for (int i = 0; i < 200; ++i) strategy.open(strategy.pick());
  CHECK(strategy.stats(1).active > 70);
  CHECK(strategy.stats(1).active < 100);
}

TEST_CASE("a burst within one instant spreads by latency", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(8));
  measuredAll(strategy, {5, 1, 5, 5, 5, 5, 5, 5});
  for (int i = 0; i < 800; ++i) strategy.open(strategy.pick());
  // 1 + a = 5 * (1 + b) and a + 7 * b = 800.
  CHECK(strategy.stats(1).active == Approx(336).margin(3));
  for (std::uint32_t i = 2; i < 8; ++i) CHECK(strategy.stats(i).active == Approx(66).margin(2));
}

TEST_CASE("a burst within one instant spreads over a large pool", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(100));
  for (std::uint32_t i = 0; i < 100; ++i) measured(strategy, i, (i == 7 ? 1 : 5) * kMillisecond);
  for (int i = 0; i < 10'000; ++i) strategy.open(strategy.pick());
  // As above: it is among the eight that are drawn often enough.
  CHECK(strategy.stats(7).active == Approx(490).margin(30));
  for (std::uint32_t i = 0; i < 100; ++i)
    if (i != 7) CHECK(strategy.stats(i).active < 115);
}

TEST_CASE("a ten times slow backend gets little", "[traffic]") {
  const auto count = GENERATE(std::size_t{2}, std::size_t{8}, std::size_t{40});
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(count));
  Traffic traffic(strategy, std::vector<Behaviour>(count));
  traffic.backends[1].answers_after_ns = 50 * kMillisecond;
  traffic.run(kSecond, kMillisecond / count);
  const auto given = traffic.run(20 * kSecond, kMillisecond / count);
  // A fair share would be 20,000. Of two backends the slow one gets a session when the fast one owes ten times the
  // work.
  CHECK(given[1] < (count == 2 ? 1'000 : 600));
}

TEST_CASE("a hung backend is left at once and taken again when it recovers", "[traffic]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(8));
  Traffic traffic(strategy, std::vector<Behaviour>(8));
  traffic.run(kSecond, kMillisecond);
  traffic.backends[3].hangs = true;
  CHECK(traffic.run(20 * kSecond, kMillisecond)[3] < 60);
  traffic.backends[3] = {};
  traffic.run(120 * kSecond, kMillisecond);
  CHECK(traffic.run(8 * kSecond, kMillisecond)[3] > 600);
}

TEST_CASE("a backend that fails at once is probed now and then and taken again when it recovers", "[traffic]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(8));
  Traffic traffic(strategy, std::vector<Behaviour>(8));
  traffic.run(kSecond, kMillisecond / 4);
  traffic.backends[3] = {kMillisecond, false, true};
  CHECK(traffic.run(20 * kSecond, kMillisecond / 4)[3] < 40);
  const auto later = traffic.run(120 * kSecond, kMillisecond / 4)[3];
  CHECK(later >= 1);
  CHECK(later < 60);
  traffic.backends[3] = {};
  traffic.run(120 * kSecond, kMillisecond / 4);
  CHECK(traffic.run(8 * kSecond, kMillisecond / 4)[3] > 2'400);
}

TEST_CASE("long sessions count as load and not as latency", "[traffic]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(4));
  Traffic traffic(strategy, std::vector<Behaviour>(4));
  traffic.run(kSecond, kMillisecond);
  strategy.open(2, 3);  // held, and quiet: a little less than one that is not
  strategy.stats(2).quiet = 3;
  const auto some = traffic.run(10 * kSecond, kMillisecond / 2);
  CHECK(some[2] > 1'000);
  strategy.open(2, 100);  // many: each may ask any moment
  strategy.stats(2).quiet = 103;
  CHECK(traffic.run(10 * kSecond, kMillisecond / 2)[2] == 0);
}

TEST_CASE("backends that cannot be told apart share like least connections", "[strategy][evidence]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(4));
  // Chance alone differs by this: a standard error is 1.04 / sqrt(20), a quarter.
  const double times[] = {5, 5.6, 4.5, 5.9};
  for (std::uint32_t i = 0; i < 4; ++i) strategy.learn(i, static_cast<std::uint64_t>(times[i] * kMillisecond), 20);
  CHECK(strategy.shares(40) == std::vector<std::size_t>{10, 10, 10, 10});
  for (int i = 0; i < 400; ++i) strategy.open(strategy.pick());
  for (std::uint32_t i = 0; i < 4; ++i) CHECK(strategy.stats(i).active == 100);
}

TEST_CASE("a difference is used once there are samples enough of it", "[strategy][evidence]") {
  // How many times as slow the one is, and how many samples show it.
  const auto [slower, enough, too_few] = GENERATE(table<double, float, float>({{1.3, 100, 20}, {10, 3, 0.3F}}));
  CAPTURE(slower);
  const auto held = [slower = slower](float samples) {
    StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(8));
    for (std::uint32_t i = 0; i < 8; ++i) strategy.learn(i, 5 * kMillisecond, 100);
    strategy.learn(3, static_cast<std::uint64_t>(slower * 5 * kMillisecond), samples);
    for (int i = 0; i < 800; ++i) strategy.open(strategy.pick());
    return static_cast<double>(strategy.stats(3).active);
  };
  CHECK(held(too_few) == 100);
  CHECK(held(enough) < 100 - 50 * (1 - 1 / slower));
  CHECK(held(enough) > 100 / slower * 0.8);
}

TEST_CASE("what is left of the exchange under way counts by how much work varies", "[strategy][evidence]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(2));
  const float variation = GENERATE(0.06F, 0.5F);  // lognormal work of a coefficient of variation of 0.5, and of 2
  for (std::uint32_t i = 0; i < 2; ++i) {
    strategy.learn(i, 5 * kMillisecond, 100);
    strategy.speed(i).spread = variation * 5e6F;
  }
  strategy.open(0);
  strategy.ask(0);
  strategy.advance(4 * kMillisecond);
  strategy.open(1);
  strategy.ask(1);
  // The older one is nearly done, or is a long one.
  CHECK(strategy.sequence(3) == (variation < 0.1F ? "aaa" : "bbb"));
}

TEST_CASE("a backend that owes an answer for long is left whatever is known of it", "[strategy][evidence]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(2));
  for (std::uint32_t i = 0; i < 2; ++i) strategy.learn(i, 5 * kMillisecond, 100);
  strategy.open(0);
  strategy.ask(0);
  strategy.open(1, 8);
  strategy.advance(100 * kMillisecond);
  CHECK(strategy.sequence(3) == "bbb");
}

TEST_CASE("a slow backend is tried again when what is known of it has grown old", "[strategy][evidence]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(2));
  strategy.learn(0, 50 * kMillisecond, 256);
  std::string picks;
  for (int second = 0; second < 14; ++second) {
    strategy.learn(1, 5 * kMillisecond, 256);
    strategy.stats(1).picks += 1'000;
    strategy.open(1, 2);
    picks += strategy.sequence(1);
    strategy.close(1, 2);
    strategy.advance(kSecond);
  }
  CHECK(picks.substr(0, 3) == "bbb");
  CHECK(picks.substr(11) == "aaa");
}

namespace {

/// Backends of these zones with the latencies in milliseconds, measured just now.
void measuredZones(StrategyFixture& strategy, const std::vector<std::string>& zones,
                   const std::vector<std::uint64_t>& milliseconds) {
  strategy.publish(zonedBackends(zones));
  measuredAll(strategy, milliseconds);
}

}  // namespace

TEST_CASE("without zone_aware zones change nothing", "[strategy][zones]") {
  StrategyFixture plain(LEMONADE_PLUGIN, equalBackends(4));
  StrategyFixture with_zones(LEMONADE_PLUGIN, equalBackends(4));
  measuredAll(plain, {5, 3, 5, 4});
  measuredZones(with_zones, {"here", "there", "here", "there"}, {5, 3, 5, 4});
  for (int i = 0; i < 100; ++i) {
    const auto index = plain.pick();
    CHECK(with_zones.pick() == index);
    plain.open(index);
    with_zones.open(index);
  }
}

TEST_CASE("equal zones leave every session in the own one however many there are", "[strategy][zones]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(4), {{"zone_aware", "true"}});
  measuredZones(strategy, {"here", "there", "here", "there"}, {5, 5, 5, 5});
  for (int i = 0; i < 1'000; ++i) strategy.open(strategy.pick());
  CHECK(strategy.stats(0).active == 500);
  CHECK(strategy.stats(2).active == 500);
}

TEST_CASE("the own zone is preferred up to zone_tolerance times the response time and spills beyond",
          "[strategy][zones]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(2), {{"zone_aware", "true"}, {"zone_tolerance", "3"}});
  measuredZones(strategy, {"here", "there"}, {14, 5});
  CHECK(strategy.sequence(3) == "aaa");
  measuredZones(strategy, {"here", "there"}, {16, 5});
  CHECK(strategy.sequence(3) == "bbb");
}

TEST_CASE("a slower own zone hands over so much that the costs with the sessions of both are in balance",
          "[strategy][zones]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(2), {{"zone_aware", "true"}, {"zone_tolerance", "2"}});
  measuredZones(strategy, {"here", "there"}, {15, 5});
  for (int i = 0; i < 900; ++i) strategy.open(strategy.pick());
  // 15 n = 2 * 5 * (n + m): a third elsewhere.
  CHECK(strategy.stats(0).active > 580);
  CHECK(strategy.stats(0).active < 620);
}

TEST_CASE("the own zone spills while its backends hang or fail and where none of it is up", "[strategy][zones]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(2), {{"zone_aware", "true"}});
  SECTION("hang") {
    measuredZones(strategy, {"here", "there"}, {5, 5});
    strategy.open(0);
    strategy.ask(0);
    strategy.advance(50 * kMillisecond);
    CHECK(strategy.sequence(3) == "bbb");
  }
  SECTION("fail") {
    measuredZones(strategy, {"here", "there"}, {5, 5});
    for (int i = 0; i < 5; ++i) strategy.fail(0);
    CHECK(strategy.sequence(3) == "bbb");
  }
  SECTION("down") {
    auto backends = zonedBackends({"here", "there"});
    backends[0].healthy = false;
    strategy.publish(backends);
    CHECK(strategy.sequence(3) == "bbb");
  }
}

TEST_CASE("where exchanges are told the own zone spills by the answers that it owes", "[strategy][zones]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(2), {{"zone_aware", "true"}, {"zone_tolerance", "3"}});
  strategy.publish(zonedBackends({"here", "there"}));
  for (std::uint32_t i = 0; i < 2; ++i) strategy.learn(i, 5 * kMillisecond, 100);
  strategy.open(0, 50);
  CHECK(strategy.sequence(3) == "aaa");  // that ask nothing
  for (int i = 0; i < 2; ++i) strategy.ask(0);
  CHECK(strategy.sequence(3) == "aaa");
  for (int i = 0; i < 3; ++i) strategy.ask(0);
  CHECK(strategy.sequence(3) == "bbb");
  // Slower by so much that none has to wait.
  strategy.publish(zonedBackends({"here", "there"}));
  strategy.learn(0, 50 * kMillisecond, 200);
  CHECK(strategy.sequence(3) == "bbb");
}

TEST_CASE("backends elsewhere are tried for curiosity once a minute at most", "[strategy][zones]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(2), {{"zone_aware", "true"}, {"zone_tolerance", "2"}});
  measuredZones(strategy, {"here", "there"}, {5, 5});
  std::string picks;
  for (int second = 0; second < 50; ++second) {
    measured(strategy, 0, 5 * kMillisecond);
    strategy.stats(0).picks += 1'000;
    picks += strategy.sequence(1);
    strategy.advance(kSecond);
  }
  CHECK(picks == std::string(50, 'a'));
  for (int second = 0; second < 20; ++second) {
    measured(strategy, 0, 5 * kMillisecond);
    strategy.stats(0).picks += 1'000;
    picks += strategy.sequence(1);
    strategy.advance(kSecond);
  }
  CHECK(picks.back() == 'b');
}

TEST_CASE("an unknown backend elsewhere is tried and is taken for as slow as is usual until it answers",
          "[strategy][zones]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(2), {{"zone_aware", "true"}});
  strategy.publish(zonedBackends({"here", "there"}));
  measured(strategy, 0, 5 * kMillisecond);
  for (int i = 0; i < 30; ++i) strategy.open(strategy.pick());
  CHECK(strategy.stats(1).active == 2);
}

TEST_CASE("a large pool prefers the own zone", "[strategy][zones]") {
  std::vector<std::string> zones;
  for (int i = 0; i < 60; ++i) zones.push_back(i % 3 == 0 ? "here" : "there");
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(60), {{"zone_aware", "true"}});
  measuredZones(strategy, zones, std::vector<std::uint64_t>(60, 5));
  for (int i = 0; i < 600; ++i) strategy.open(strategy.pick());
  for (std::uint32_t i = 0; i < 60; ++i) CHECK((strategy.stats(i).active == 0) == (i % 3 != 0));
}
