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

}  // namespace

TEST_CASE("the least cost times sessions wins", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(2));
  measured(strategy, 0, 10 * kMillisecond);
  measured(strategy, 1, 3 * kMillisecond);
  CHECK(strategy.sequence(3) == "bbb");
  strategy.open(1, 2);  // 10 * 1 against 3 * 3
  CHECK(strategy.sequence(3) == "bbb");
  strategy.open(1);  // 10 * 1 against 3 * 4
  CHECK(strategy.sequence(3) == "aaa");
}

TEST_CASE("weight divides the cost", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, weightedBackends({4, 1}));
  measured(strategy, 0, 6 * kMillisecond);
  measured(strategy, 1, 2 * kMillisecond);
  CHECK(strategy.sequence(3) == "aaa");
}

TEST_CASE("what is unknown is tried once and then awaited", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(3));
  measured(strategy, 0, 5 * kMillisecond);
  measured(strategy, 1, 5 * kMillisecond);
  CHECK(strategy.sequence(2) == "cc");
  strategy.open(2);
  strategy.open(0, 1'000);
  strategy.open(1, 2'000);
  CHECK(strategy.sequence(2) == "aa");
}

TEST_CASE("where all are unknown the least loaded is picked", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(3));
  for (int i = 0; i < 30; ++i) strategy.open(strategy.pick());
  for (std::uint32_t i = 0; i < 3; ++i) CHECK(strategy.stats(i).active == 10);
}

TEST_CASE("a peak is forgotten by the time constant without any sample", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(2), {{"decay", "1s"}});
  measured(strategy, 0, 100 * kMillisecond);
  // 100 ms * e^-t is below 10 ms from t = 2.303 on; halvings are at most 6 % above.
  strategy.advance(2'250 * kMillisecond);
  measured(strategy, 1, 10 * kMillisecond);
  CHECK(strategy.sequence(2) == "bb");
  strategy.advance(150 * kMillisecond);
  measured(strategy, 1, 10 * kMillisecond);
  CHECK(strategy.sequence(2) == "aa");
}

TEST_CASE("a backend that fails is not fast for being idle", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(2));
  measured(strategy, 0, 5 * kMillisecond);
  measured(strategy, 1, 5 * kMillisecond);
  strategy.open(0, 20);
  strategy.fail(1);
  CHECK(strategy.sequence(3) == "aaa");
  // One that recovered counts by its share of failures: a 32nd of a second against 21 * 5 ms.
  strategy.succeed(1);
  strategy.advance(kMillisecond);  // costs are renewed once in so long
  CHECK(strategy.sequence(3) == "bbb");
}

TEST_CASE("a backend that never answered and fails is not unknown", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(2));
  measured(strategy, 0, 5 * kMillisecond);
  strategy.fail(1);
  CHECK(strategy.sequence(3) == "aaa");
}

TEST_CASE("an exchange that waits costs at least its age", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(2));
  measured(strategy, 0, 1 * kMillisecond);
  measured(strategy, 1, 5 * kMillisecond);
  CHECK(strategy.sequence(2) == "aa");
  strategy.ask(0);
  strategy.advance(50 * kMillisecond);
  CHECK(strategy.sequence(2) == "bb");
}

TEST_CASE("connect time counts until there is an answer", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(2));
  for (std::uint32_t i = 0; i < 2; ++i) {
    strategy.stats(i).connect_ewma_ns = i == 0 ? 9e6 : 3e6;
    strategy.stats(i).sampled_at_ns = strategy.now();
  }
  CHECK(strategy.sequence(3) == "bbb");
}

TEST_CASE("a slow backend gets little and a hung one next to nothing", "[traffic]") {
  const auto count = GENERATE(std::size_t{4}, std::size_t{40});
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(count));
  Traffic traffic(strategy, std::vector<Behaviour>(count));
  traffic.run(kSecond, 4 * kMillisecond / count);
  traffic.backends[1].answers_after_ns = 50 * kMillisecond;
  traffic.backends[2].hangs = true;
  const auto given = traffic.run(20 * kSecond, 4 * kMillisecond / count);
  // A fair share would be 5,000.
  CHECK(given[1] < 1'000);
  CHECK(given[2] < 100);
}
