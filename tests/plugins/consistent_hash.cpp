// SPDX-License-Identifier: MIT
#include "support/strategy_fixture.h"

#include <lemonade/sdk/maglev_table.hpp>

#include <catch2/catch.hpp>

#include <chrono>
#include <map>

using namespace lemonade::test;
using lemonade::sdk::MaglevTable;

namespace {

const std::map<std::string, std::string> kUnbounded = {{"load_factor", "0"}};

/// Whom each of so many clients is given.
std::vector<std::uint32_t> answers(StrategyFixture& strategy, std::uint32_t clients) {
  std::vector<std::uint32_t> answers;
  for (std::uint32_t client = 0; client < clients; ++client) {
    strategy.setClient(client);
    answers.push_back(strategy.pick());
  }
  return answers;
}

}  // namespace

TEST_CASE("a client comes to the same backend again", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(5));
  for (std::uint32_t client = 0; client < 20; ++client) {
    strategy.setClient(client);
    const auto first = strategy.pick();
    for (int i = 0; i < 5; ++i) REQUIRE(strategy.pick() == first);
  }
}

TEST_CASE("every process gives these clients to these backends", "[strategy]") {
  // Recorded once: a change of any of them moves the clients of every installation.
  StrategyFixture strategy(LEMONADE_PLUGIN, weightedBackends({1, 1, 2, 3}));
  std::string letters;
  for (const auto index : answers(strategy, 32)) letters += static_cast<char>('a' + index);
  CHECK(letters == "dadddadbdddcdcacdccbadccadadbdcc");
}

TEST_CASE("the port decides too where it is part of the key", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(4), {{"key", "client_address_port"}});
  strategy.setClient(7);
  for (const auto count : strategy.shares(4'000)) CHECK(count == Approx(1'000).margin(150));
}

TEST_CASE("clients are shared by weight", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, weightedBackends({1, 2, 0, 4}));
  const auto counts = strategy.shares(70'000);
  CHECK(counts[0] == Approx(10'000).epsilon(0.04));
  CHECK(counts[1] == Approx(20'000).epsilon(0.03));
  CHECK(counts[2] == 0);
  CHECK(counts[3] == Approx(40'000).epsilon(0.02));
}

TEST_CASE("the order of the configuration does not matter", "[strategy]") {
  std::vector<BackendSpec> forward, backward;
  for (std::uint32_t i = 0; i < 10; ++i) forward.push_back({1 + i % 3, 0, true, "web-" + std::to_string(i)});
  backward.assign(forward.rbegin(), forward.rend());
  StrategyFixture one(LEMONADE_PLUGIN, forward), other(LEMONADE_PLUGIN, backward);
  const auto a = answers(one, 500), b = answers(other, 500);
  for (std::size_t i = 0; i < a.size(); ++i) REQUIRE(a[i] == 9 - b[i]);
}

TEST_CASE("a refused client goes to the next place of its own walk", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(5));
  std::map<std::uint32_t, int> seconds;
  for (std::uint32_t client = 0; client < 2'000; ++client) {
    strategy.setClient(client);
    const auto first = strategy.pick();
    const auto second = strategy.pick({first});
    REQUIRE(second != first);
    REQUIRE(strategy.pick({first}) == second);
    if (first == 0) ++seconds[second];
  }
  // What one backend leaves is shared by all others.
  CHECK(seconds.size() == 4);
  for (const auto& [index, count] : seconds) CHECK(count == Approx(100).margin(40));
}

TEST_CASE("no backend takes more than its bound", "[strategy]") {
  const auto count = GENERATE(std::size_t{4}, std::size_t{100});
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(count));
  const auto sessions = static_cast<std::uint32_t>(40 * count);
  for (std::uint32_t i = 0; i < sessions; ++i) {
    strategy.setClient(i % 7);  // hardly any clients, so that without a bound a few backends had it all
    strategy.open(strategy.pick());
    strategy.advance(2'000'000);
  }
  for (std::uint32_t i = 0; i < count; ++i) CHECK(strategy.stats(i).active <= 50);
}

TEST_CASE("without a bound a client stays whatever the load", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(4), kUnbounded);
  strategy.setClient(3);
  const auto index = strategy.pick();
  strategy.open(index, 10'000);
  CHECK(strategy.pick() == index);
}

TEST_CASE("the bound is a multiple of the share by weight", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, weightedBackends({1, 3}), {{"load_factor", "1.5"}});
  const auto mine = answers(strategy, 64);
  strategy.open(0, 15);
  strategy.open(1, 24);
  // 40 sessions with this one: the light backend may have 1.5 * 10.
  for (const auto index : answers(strategy, 64)) CHECK(index == 1);
  strategy.close(0);
  CHECK(answers(strategy, 64) == mine);
}

TEST_CASE("a load factor that leaves no room is refused", "[strategy]") {
  CHECK_THROWS_WITH(StrategyFixture(LEMONADE_PLUGIN, equalBackends(2), {{"load_factor", "0.9"}}),
                    Catch::Contains("0 (no bound) or above 1"));
}

TEST_CASE("with nearly all of a large pool full what is left is found", "[strategy]") {
  auto backends = equalBackends(3'000);
  for (std::size_t i = 0; i < backends.size(); ++i) backends[i].max_connections = i == 42 ? 0 : 1;
  StrategyFixture strategy(LEMONADE_PLUGIN, backends);
  for (std::uint32_t i = 0; i < 3'000; ++i) strategy.open(i);
  CHECK(strategy.shares(50)[42] == 50);
}

TEST_CASE("MaglevTable fills every place and keeps its size as members come and go", "[sdk]") {
  const MaglevTable table({{"a", 1, 0}, {"b", 1, 1}, {"c", 2, 2}}, 3);
  CHECK(table.size() == 65'537);
  std::vector<std::uint32_t> counts(3);
  for (std::uint32_t place = 0; place < table.size(); ++place) ++counts.at(table.at(place));
  CHECK(counts == std::vector<std::uint32_t>{16'384, 16'384, 32'769});
  CHECK(MaglevTable({{"a", 1, 0}}, 600).size() == table.size());
  CHECK(MaglevTable::sizeFor(656) == 131'101);
  CHECK(MaglevTable::sizeFor(10'000) > 1'000'000);
  CHECK(MaglevTable({}, 0).size() == 0);
}

TEST_CASE("a table for 10000 backends is made in a moment", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, equalBackends(10'000));
  const auto start = std::chrono::steady_clock::now();
  strategy.prepareAgain();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  INFO(taken.count());
  CHECK(taken.count() < 5);  // some 0.1 s optimised; the control thread waits for it at every flip
}

TEST_CASE("MaglevTable answers values beyond two bytes, too", "[sdk]") {
  const auto table = [](std::uint32_t base) {
    return MaglevTable({{"a", 1, base}, {"b", 1, base + 1}, {"c", 2, base + 2}}, 3);
  };
  const auto low = table(0), edge = table(65'533), high = table(65'534);
  REQUIRE(low.size() == high.size());
  for (std::uint32_t place = 0; place < low.size() + MaglevTable::kOverhang; ++place) {
    REQUIRE(edge.at(place) == 65'533 + low.at(place));
    REQUIRE(high.at(place) == 65'534 + low.at(place));
  }
}
