// SPDX-License-Identifier: MIT
#include "support/strategy_fixture.h"

#include <catch2/catch.hpp>

using namespace lemonade::test;

TEST_CASE("round robin takes the backends in turn", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(3));
  CHECK(strategy.sequence(7) == "abcabca");
}

TEST_CASE("round robin shares 30 picks evenly between the living", "[strategy]") {
  auto backends = equalBackends(3);
  backends[1].healthy = false;
  StrategyFixture strategy(LEMONADE_PLUGIN, backends);
  CHECK(strategy.shares(30) == std::vector<std::size_t>{15, 0, 15});
}

TEST_CASE("round robin pays no regard to weights above zero", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, weightedBackends({1, 9, 0}));
  CHECK(strategy.shares(30) == std::vector<std::size_t>{15, 15, 0});
}
