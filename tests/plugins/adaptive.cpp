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

TEST_CASE("among the cold the least latency wins", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(4));
  measuredAll(strategy, {9, 3, 5, 9});
  CHECK(strategy.sequence(3) == "bbb");
}

TEST_CASE("latency does not trade against load below the line", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(4));
  measuredAll(strategy, {9, 3, 9, 9});
  // n = 10 12 10 10: q84 is 11.04 of the interpolated ranks, 1.25 times the mean 13.1.
  for (std::uint32_t i = 0; i < 4; ++i) strategy.open(i, i == 1 ? 11 : 9);
  CHECK(strategy.sequence(3) == "bbb");
}

TEST_CASE("a hot backend is left out however fast it is", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(4));
  measuredAll(strategy, {9, 3, 5, 9});
  // n = 10 14 10 10: above q84 = 12.08 and above 1.25 * 11.
  for (std::uint32_t i = 0; i < 4; ++i) strategy.open(i, i == 1 ? 13 : 9);
  CHECK(strategy.sequence(3) == "ccc");
}

TEST_CASE("above the quantile but near the mean is not hot", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(2));
  measuredAll(strategy, {9, 3});
  strategy.open(0, 9);
  strategy.open(1, 15);  // n = 10 16: q84 = 15.04, 1.25 * mean = 16.25
  CHECK(strategy.sequence(2) == "bb");
  strategy.open(1, 1);  // n = 10 17: q84 = 15.88, 1.25 * mean = 16.875
  CHECK(strategy.sequence(2) == "aa");
}

TEST_CASE("load is counted for each unit of weight", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, weightedBackends({1, 4}));
  measuredAll(strategy, {9, 3});
  strategy.open(0, 3);
  strategy.open(1, 15);  // n = 4 4
  CHECK(strategy.sequence(2) == "bb");
}

TEST_CASE("near-equals among the cold take turns by weight", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, weightedBackends({5, 1, 1, 9}));
  measuredAll(strategy, {10, 11, 12, 40});
  strategy.open(0, 9);
  strategy.open(1, 1);
  strategy.open(2, 1);
  strategy.open(3, 17);
  CHECK(strategy.shares(70) == std::vector<std::size_t>{50, 10, 10, 0});
}

TEST_CASE("where only hot backends may be picked the least loaded of them is", "[strategy]") {
  auto backends = equalBackends(40);
  for (std::size_t i = 3; i < backends.size(); ++i) backends[i].max_connections = 1;
  StrategyFixture strategy(LEMONADE_PLUGIN, backends);
  for (std::uint32_t i = 0; i < 40; ++i) {
    measured(strategy, i, (i < 3 ? i + 1 : 5) * kMillisecond);
    strategy.open(i, i < 3 ? 60 - 10 * i : 1);
  }
  // The three that are not full hold 60, 50 and 40, the fastest the most; a pick that draws but one of them takes it.
  std::vector<std::size_t> counts(40);
  for (int i = 0; i < 300; ++i) ++counts[strategy.pick()];
  CHECK(counts[2] > 2 * counts[1]);
  CHECK(counts[2] > 2 * counts[0]);
}

TEST_CASE("a backend that fails is not attractive for being idle", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(4));
  measuredAll(strategy, {5, 5, 5, 5});
  for (std::uint32_t i = 0; i < 3; ++i) strategy.open(i, 20);
  for (int i = 0; i < 3; ++i) strategy.fail(3);
  CHECK(strategy.shares(30) == std::vector<std::size_t>{10, 10, 10, 0});
}

TEST_CASE("a backend that fails is no way out for one that is hot beside it", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(2));
  measuredAll(strategy, {5, 5});
  strategy.open(0, 19);
  for (int i = 0; i < 3; ++i) strategy.fail(1);
  // e = 2/5: the failing one counts as 1 + 5 * 0.4 * 10.5 = 22 against 20.
  CHECK(strategy.sequence(3) == "aaa");
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
  CHECK(strategy.shares(20) == std::vector<std::size_t>{10, 10});
}

TEST_CASE("a burst within one instant spreads", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(8));
  measuredAll(strategy, {5, 1, 5, 5, 5, 5, 5, 5});
  for (int i = 0; i < 800; ++i) strategy.open(strategy.pick());
  for (std::uint32_t i = 0; i < 8; ++i) CHECK(strategy.stats(i).active < 160);
}

TEST_CASE("a burst within one instant spreads over a large pool", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(100));
  for (std::uint32_t i = 0; i < 100; ++i) measured(strategy, i, (i == 7 ? 1 : 5) * kMillisecond);
  for (int i = 0; i < 10'000; ++i) strategy.open(strategy.pick());
  for (std::uint32_t i = 0; i < 100; ++i) CHECK(strategy.stats(i).active < 200);
}

TEST_CASE("a ten times slow backend gets little", "[traffic]") {
  const auto count = GENERATE(std::size_t{2}, std::size_t{8}, std::size_t{40});
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(count));
  Traffic traffic(strategy, std::vector<Behaviour>(count));
  traffic.backends[1].answers_after_ns = 50 * kMillisecond;
  traffic.run(kSecond, kMillisecond / count);
  const auto given = traffic.run(20 * kSecond, kMillisecond / count);
  // A fair share would be 20,000. Of two backends the fast one is hot beyond 5/3 of the sessions of the slow one, which
  // then gets 1 / (1 + 10 * 5/3) of all.
  CHECK(given[1] < 2'300);
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
  strategy.open(2, 3);  // held, and silent: a little more than others have
  const auto some = traffic.run(10 * kSecond, kMillisecond / 2);
  CHECK(some[2] > 1'000);
  strategy.open(2, 100);  // many: it is hot for as long as they are held
  CHECK(traffic.run(10 * kSecond, kMillisecond / 2)[2] == 0);
}
