// SPDX-License-Identifier: MIT
#include "support/strategy_fixture.h"
#include "support/traffic.h"

#include <catch2/catch.hpp>

#include <numeric>

using namespace lemonade::test;

namespace {

void measured(StrategyFixture& strategy, std::uint32_t index, std::uint64_t latency_ns) {
  strategy.stats(index).exchange_ewma_ns = static_cast<double>(latency_ns);
  strategy.stats(index).sampled_at_ns = strategy.now();
}

}  // namespace

TEST_CASE("the least product of latency and sessions wins", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(2));
  measured(strategy, 0, 10 * kMillisecond);
  measured(strategy, 1, 2 * kMillisecond);
  CHECK(strategy.sequence(3) == "bbb");
  strategy.open(1, 2);  // 10 * 1 against 2 * 3
  CHECK(strategy.sequence(3) == "bbb");
  strategy.open(1, 4);  // 10 * 1 against 2 * 7
  CHECK(strategy.sequence(3) == "aaa");
}

TEST_CASE("weight divides the score", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, weightedBackends({4, 1}));
  measured(strategy, 0, 6 * kMillisecond);
  measured(strategy, 1, 2 * kMillisecond);
  CHECK(strategy.sequence(3) == "aaa");
}

TEST_CASE("near-equal latencies share", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(3));
  measured(strategy, 0, 1000 * kMicrosecond);
  measured(strategy, 1, 1100 * kMicrosecond);
  measured(strategy, 2, 1200 * kMicrosecond);
  CHECK(strategy.sequence(6) == "abcabc");
}

TEST_CASE("the tolerance says what near-equal is", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(2), {{"tolerance", "1.05"}});
  measured(strategy, 0, 1000 * kMicrosecond);
  measured(strategy, 1, 1100 * kMicrosecond);
  CHECK(strategy.sequence(4) == "aaaa");
}

TEST_CASE("an old sample is forgotten by half in each half-life", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(3), {{"half_life", "2s"}});
  measured(strategy, 0, 100 * kMillisecond);
  for (int second = 0; second < 12; ++second) {
    measured(strategy, 1, 10 * kMillisecond);
    measured(strategy, 2, 10 * kMillisecond);
    strategy.stats(1).picks += 1'000;
    const auto share = strategy.shares(30)[0];
    // 100 / 2^(t / 2) is within a quarter of 10 from t = 6 on, and the only one within it from t = 8 on.
    if (second <= 5) CHECK(share == 0);
    if (second == 6) CHECK(share == 10);
    if (second >= 8) CHECK(share == 30);
    strategy.advance(kSecond);
  }
}

TEST_CASE("connect time counts where nobody answers exchanges", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(2));
  for (std::uint32_t i = 0; i < 2; ++i) {
    strategy.stats(i).connect_ewma_ns = i == 0 ? 9e6 : 3e6;
    strategy.stats(i).sampled_at_ns = strategy.now();
  }
  CHECK(strategy.sequence(3) == "bbb");
}

TEST_CASE("a fast connect is not compared with answers", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(3));
  measured(strategy, 0, 5 * kMillisecond);
  measured(strategy, 1, 5 * kMillisecond);
  strategy.stats(2).connect_ewma_ns = 1e5;
  strategy.stats(2).sampled_at_ns = strategy.now();
  strategy.open(2, 2);  // as many as one that is unknown is tried with
  CHECK(strategy.sequence(6) == "ababab");
}

TEST_CASE("a backend without samples is tried with few sessions at once", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(4));
  for (std::uint32_t i = 0; i < 3; ++i) measured(strategy, i, 5 * kMillisecond);
  for (int i = 0; i < 30; ++i) {
    strategy.open(strategy.pick());
    strategy.advance(kMillisecond);
  }
  CHECK(strategy.stats(3).active >= 1);
  CHECK(strategy.stats(3).active <= 3);
}

TEST_CASE("exchanges that wait count before they are answered", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(2));
  measured(strategy, 0, 1 * kMillisecond);
  measured(strategy, 1, 5 * kMillisecond);
  CHECK(strategy.sequence(2) == "aa");
  strategy.ask(0);
  strategy.advance(50 * kMillisecond);
  CHECK(strategy.sequence(2) == "bb");
}

TEST_CASE("a slow backend gets little", "[traffic]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(4));
  Traffic traffic(strategy, std::vector<Behaviour>(4));
  traffic.backends[3].answers_after_ns = 50 * kMillisecond;
  const auto given = traffic.run(20 * kSecond, kMillisecond);
  CHECK(given[3] < 20'000 * 3 / 100);
  for (std::size_t i = 0; i < 3; ++i) CHECK(given[i] > 20'000 * 28 / 100);
}

TEST_CASE("a hung backend is left at once and a failing one stays unattractive", "[traffic]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(4));
  Traffic traffic(strategy, std::vector<Behaviour>(4));
  traffic.run(kSecond, kMillisecond);
  SECTION("hung") {
    traffic.backends[3].hangs = true;
    CHECK(traffic.run(4 * kSecond, kMillisecond)[3] < 20);
  }
  SECTION("failing in a millisecond") {
    traffic.backends[3] = {kMillisecond, false, true};
    CHECK(traffic.run(20 * kSecond, kMillisecond)[3] < 40);
    // It is probed, but seldom.
    const auto later = traffic.run(120 * kSecond, kMillisecond)[3];
    CHECK(later >= 1);
    CHECK(later < 60);
    traffic.backends[3] = {};
    traffic.run(120 * kSecond, kMillisecond);
    CHECK(traffic.run(10 * kSecond, kMillisecond)[3] > 2'000);
  }
}
