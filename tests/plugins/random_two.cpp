// SPDX-License-Identifier: MIT
#include "support/strategy_fixture.h"

#include <catch2/catch.hpp>

using namespace lemonade::test;

TEST_CASE("of two backends the one with fewer sessions always wins", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(2));
  strategy.open(0, 2);
  CHECK(strategy.sequence(10) == "bbbbbbbbbb");
}

TEST_CASE("the most loaded backend is never picked, since two different ones are compared", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, weightedBackends({1, 1, 1000}));
  strategy.open(2, 5'000);
  CHECK(strategy.shares(2'000)[2] == 0);
}

TEST_CASE("each backend is picked by the chance to be drawn and to win", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(4));
  for (std::uint32_t i = 0; i < 4; ++i) strategy.open(i, i);
  // Of the six pairs a wins three, b two, c one.
  const auto counts = strategy.shares(6'000);
  CHECK(counts[0] == Approx(3'000).margin(150));
  CHECK(counts[1] == Approx(2'000).margin(150));
  CHECK(counts[2] == Approx(1'000).margin(150));
  CHECK(counts[3] == 0);
}

TEST_CASE("more choices find the best more often", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(4), {{"choices", "4"}});
  for (std::uint32_t i = 0; i < 4; ++i) strategy.open(i, i + 1);
  CHECK(strategy.sequence(10) == "aaaaaaaaaa");
}

TEST_CASE("held sessions follow the weights", "[strategy]") {
  const auto repeats = GENERATE(std::size_t{1}, std::size_t{25});
  std::vector<std::uint32_t> weights;
  for (std::size_t i = 0; i < repeats; ++i) weights.insert(weights.end(), {1, 2, 4});
  StrategyFixture strategy(LEMONADE_PLUGIN, weightedBackends(weights));
  for (std::size_t i = 0; i < 700 * repeats; ++i) strategy.open(strategy.pick());
  for (std::size_t i = 0; i < weights.size(); ++i) {
    CAPTURE(i);
    CHECK(strategy.stats(i).active == Approx(100 * weights[i]).margin(4 * weights[i]));
  }
}

TEST_CASE("two choices keep a pool of 1000 within a few sessions of even", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(1'000));
  for (int i = 0; i < 20'000; ++i) strategy.open(strategy.pick());
  // One random choice leaves 20 with a standard deviation of 4.5 and a most of about 36.
  for (std::uint32_t i = 0; i < 1'000; ++i) {
    REQUIRE(strategy.stats(i).active >= 13);
    REQUIRE(strategy.stats(i).active <= 24);
  }
}
