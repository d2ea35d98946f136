// SPDX-License-Identifier: MIT
#include "support/strategy_fixture.h"

#include <lemonade/sdk/sampling.hpp>

#include <catch2/catch.hpp>

using namespace lemonade::test;

TEST_CASE("two held connections send the next ten to the other", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(2));
  strategy.open(0, 2);
  CHECK(strategy.sequence(10) == "bbbbbbbbbb");
}

TEST_CASE("idle equals take turns", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(3));
  CHECK(strategy.sequence(6) == "abcabc");
}

TEST_CASE("some equals among many take turns evenly", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(4));
  strategy.open(1);
  strategy.open(2);
  CHECK(strategy.sequence(6) == "adadad");
}

TEST_CASE("held sessions fill up by weight", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, weightedBackends({1, 2, 3}));
  std::vector<std::size_t> held(3);
  for (int i = 0; i < 60; ++i) {
    const auto index = strategy.pick();
    strategy.open(index);
    ++held[index];
  }
  CHECK(held == std::vector<std::size_t>{10, 20, 30});
}

TEST_CASE("sessions are compared for each unit of weight", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, weightedBackends({1, 3}));
  strategy.open(1);
  CHECK(strategy.sequence(2) == "bb");  // 2/3 < 1/1
  strategy.open(1);
  CHECK(strategy.sequence(8) == "babbbabb");  // 3/3 = 1/1: turns by weight, in nginx's order
  strategy.open(1);
  CHECK(strategy.sequence(2) == "aa");  // 4/3 > 1/1
}

TEST_CASE("counts up to the last session of 32 bits are told apart", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, weightedBackends({4'000'000, 4'000'000}));
  strategy.open(0, 4'294'967'294);
  strategy.open(1, 4'294'967'293);
  CHECK(strategy.sequence(3) == "bbb");
}

TEST_CASE("in a large pool sessions stay balanced by weight", "[strategy]") {
  std::vector<std::uint32_t> weights;
  for (std::uint32_t i = 0; i < 100; ++i) weights.push_back(1 + i % 2);
  StrategyFixture strategy(LEMONADE_PLUGIN, weightedBackends(weights));
  for (int i = 0; i < 15'000; ++i) strategy.open(strategy.pick());
  // 100 for each unit of weight; one random choice would stray by 3 * sqrt(100).
  for (std::size_t i = 0; i < weights.size(); ++i) {
    CHECK(strategy.stats(i).active >= 95 * weights[i]);
    CHECK(strategy.stats(i).active <= 105 * weights[i]);
  }
}

TEST_CASE("a large pool with one backend left finds it", "[strategy]") {
  auto backends = equalBackends(100);
  for (std::size_t i = 0; i < 100; ++i) backends[i].max_connections = i == 42 ? 0 : 1;
  StrategyFixture strategy(LEMONADE_PLUGIN, backends);
  for (std::uint32_t i = 0; i < 100; ++i) strategy.open(i);
  CHECK(strategy.shares(50)[42] == 50);
}

TEST_CASE("WeightedSampler draws by weight and never a zero", "[sdk]") {
  const lemonade::sdk::WeightedSampler sampler(std::vector<std::uint32_t>{1, 0, 2, 7, 0});
  std::vector<int> drawn(5);
  for (std::uint64_t i = 0; i < 100'000; ++i) ++drawn[sampler.draw(lemonade::sdk::nthRandom(3, i))];
  CHECK(drawn[0] == Approx(10'000).margin(500));
  CHECK(drawn[1] == 0);
  CHECK(drawn[2] == Approx(20'000).margin(500));
  CHECK(drawn[3] == Approx(70'000).margin(500));
  CHECK(drawn[4] == 0);
}

namespace {

StrategyFixture zoned(const std::vector<std::string>& zones, std::map<std::string, std::string> options = {}) {
  options.emplace("zone_aware", "true");
  return {LEMONADE_PLUGIN, zonedBackends(zones), options};
}

}  // namespace

TEST_CASE("without zone_aware zones change nothing", "[strategy][zones]") {
  StrategyFixture plain(LEMONADE_PLUGIN, equalBackends(4));
  StrategyFixture with_zones(LEMONADE_PLUGIN, zonedBackends({"here", "there", "here", "there"}));
  for (int i = 0; i < 100; ++i) {
    const auto index = plain.pick();
    CHECK(with_zones.pick() == index);
    plain.open(index);
    with_zones.open(index);
  }
}

TEST_CASE("backends of the own zone take turns and the others get nothing", "[strategy][zones]") {
  auto strategy = zoned({"here", "there", "here", "elsewhere", ""});
  CHECK(strategy.sequence(6) == "acacac");
  strategy.open(0, 3);
  CHECK(strategy.sequence(3) == "ccc");
}

TEST_CASE("the own zone spills where it has more than zone_tolerance times the load of the best elsewhere",
          "[strategy][zones]") {
  auto strategy = zoned({"here", "there", "there"}, {{"zone_tolerance", "3"}});
  strategy.open(0, 2);  // 3 against 1
  CHECK(strategy.sequence(3) == "aaa");
  strategy.open(0);  // 4 against 1: those elsewhere take turns
  CHECK(strategy.sequence(4) == "bcbc");
  strategy.open(1);
  strategy.open(2);  // 4 against 2
  CHECK(strategy.sequence(2) == "aa");
}

TEST_CASE("loads of zones are compared for each unit of weight", "[strategy][zones]") {
  std::vector<BackendSpec> backends{{.weight = 10, .zone = "here"}, {.weight = 1, .zone = "there"}};
  StrategyFixture strategy(LEMONADE_PLUGIN, backends, {{"zone_aware", "true"}, {"zone_tolerance", "2"}});
  strategy.open(0, 19);  // 20 / 10 against 1
  CHECK(strategy.sequence(2) == "aa");
  strategy.open(0);
  CHECK(strategy.sequence(2) == "bb");
}

TEST_CASE("the own zone spills where all of it is full or was tried or none of it is up", "[strategy][zones]") {
  std::vector<BackendSpec> backends{{.max_connections = 1, .zone = "here"}, {.zone = "there"}, {.zone = "here"}};
  StrategyFixture strategy(LEMONADE_PLUGIN, backends, {{"zone_aware", "true"}});
  strategy.open(0);
  CHECK(strategy.sequence(3) == "ccc");
  CHECK(strategy.pick({2}) == 1);
  CHECK(strategy.pick({1, 2}) == LEMONADE_PICK_NONE);
  backends[2].healthy = false;
  strategy.publish(backends);
  CHECK(strategy.sequence(3) == "bbb");
  backends[0].healthy = false;
  strategy.publish(backends);
  CHECK(strategy.sequence(3) == "bbb");
}

TEST_CASE("a balancer without a zone of its own prefers none", "[strategy][zones]") {
  auto strategy = zoned({"", "there", ""});
  strategy.setZone("");
  strategy.publish(zonedBackends({"", "there", ""}));
  CHECK(strategy.sequence(6) == "abcabc");
}

TEST_CASE("a zone of which all are in a slow start takes its share only", "[strategy][zones]") {
  std::vector<BackendSpec> backends{{.effective_weight = 250, .zone = "here"}, {.zone = "there"}};
  StrategyFixture strategy(LEMONADE_PLUGIN, backends, {{"zone_aware", "true"}});
  const auto shares = strategy.shares(10'000);
  CHECK(shares[0] > 2'200);
  CHECK(shares[0] < 2'800);
}

TEST_CASE("a large pool prefers the own zone", "[strategy][zones]") {
  std::vector<std::string> zones;
  for (int i = 0; i < 90; ++i) zones.push_back(i % 3 == 0 ? "here" : "there");
  auto strategy = zoned(zones);
  for (int i = 0; i < 60; ++i) strategy.open(strategy.pick());
  for (std::uint32_t i = 0; i < 90; ++i)
    if (i % 3 != 0) CHECK(strategy.stats(i).active == 0);
}
