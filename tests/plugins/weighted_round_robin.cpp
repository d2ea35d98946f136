// SPDX-License-Identifier: MIT
#include "support/strategy_fixture.h"

#include <lemonade/sdk/smooth_order.hpp>

#include <catch2/catch.hpp>

using namespace lemonade::test;

namespace {

/// nginx's algorithm as nginx writes it, one step at a time over all peers.
std::vector<std::uint32_t> nginxOrder(const std::vector<std::uint32_t>& weights, std::size_t picks) {
  std::vector<std::int64_t> current(weights.size());
  std::vector<std::uint32_t> order;
  for (std::size_t pick = 0; pick < picks; ++pick) {
    std::size_t best = weights.size();
    std::int64_t total = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      if (weights[i] == 0) continue;
      current[i] += weights[i];
      total += weights[i];
      if (best == weights.size() || current[i] > current[best]) best = i;
    }
    current[best] -= total;
    order.push_back(static_cast<std::uint32_t>(best));
  }
  return order;
}

}  // namespace

TEST_CASE("weights 5 1 1 give nginx's smooth order", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, weightedBackends({5, 1, 1}));
  CHECK(strategy.sequence(14) == "aabacaaaabacaa");
}

TEST_CASE("weights 1 2 share 30 picks as 10 and 20", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, weightedBackends({1, 2}));
  CHECK(strategy.shares(30) == std::vector<std::size_t>{10, 20});
}

TEST_CASE("equal weights are round robin", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, weightedBackends({7, 7, 7}));
  CHECK(strategy.sequence(6) == "abcabc");
}

TEST_CASE("weights hold among the living", "[strategy]") {
  auto backends = weightedBackends({3, 5, 1});
  backends[1].healthy = false;
  StrategyFixture strategy(LEMONADE_PLUGIN, backends);
  CHECK(strategy.shares(40) == std::vector<std::size_t>{30, 0, 10});
}

TEST_CASE("what a tried backend leaves goes to the next ticket", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, weightedBackends({5, 1, 1}));
  std::vector<std::size_t> counts(3);
  for (int i = 0; i < 70; ++i) ++counts[strategy.pick({0})];
  CHECK(counts == std::vector<std::size_t>{0, 35, 35});
}

TEST_CASE("a full backend of great weight does not hide the others", "[strategy]") {
  auto backends = weightedBackends({10'000, 1, 1});
  backends[0].max_connections = 2;
  StrategyFixture strategy(LEMONADE_PLUGIN, backends);
  strategy.open(0, 2);
  const auto counts = strategy.shares(100);
  CHECK(counts[0] == 0);
  CHECK(counts[1] + counts[2] == 100);
  CHECK(counts[1] > 20);
  CHECK(counts[2] > 20);
}

TEST_CASE("a change of weights takes effect with the next view", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, weightedBackends({1, 1}));
  CHECK(strategy.shares(10) == std::vector<std::size_t>{5, 5});
  strategy.publish(weightedBackends({1, 4}));
  CHECK(strategy.shares(10) == std::vector<std::size_t>{2, 8});
}

TEST_CASE("without a prepared order everybody still gets connections", "[strategy]") {
  StrategyFixture strategy(LEMONADE_PLUGIN, weightedBackends({1, 2, 0}));
  strategy.dropPrepared();
  const auto counts = strategy.shares(100);
  CHECK(counts[0] > 20);
  CHECK(counts[1] > 20);
  CHECK(counts[2] == 0);
}

TEST_CASE("smoothOrder agrees with nginx step by step", "[sdk]") {
  const std::vector<std::vector<std::uint32_t>> cases = {
      {1}, {5, 1, 1}, {1, 5, 1}, {2, 3}, {3, 2}, {4, 0, 2, 2, 1}, {7, 5, 3, 5, 7, 1}, {1, 1, 1, 10}, {100, 1, 50}};
  for (const auto& weights : cases) {
    const auto order = lemonade::sdk::smoothOrder(weights);
    REQUIRE_FALSE(order.empty());
    // Two periods: the order must also close on itself.
    const auto expected = nginxOrder(weights, 2 * order.size());
    CHECK(std::equal(order.begin(), order.end(), expected.begin()));
    CHECK(std::equal(order.begin(), order.end(), expected.begin() + static_cast<std::ptrdiff_t>(order.size())));
  }
}

TEST_CASE("smoothOrder divides common factors away", "[sdk]") {
  CHECK(lemonade::sdk::smoothOrder(std::vector<std::uint32_t>{5000, 1000, 1000}).size() == 7);
}

TEST_CASE("smoothOrder bounds its length and loses nobody", "[sdk]") {
  const auto order = lemonade::sdk::smoothOrder(std::vector<std::uint32_t>{4'000'000'000, 1, 2'000'000'000}, 1000);
  CHECK(order.size() <= 1003);
  const auto count = [&](std::uint32_t position) { return std::count(order.begin(), order.end(), position); };
  CHECK(count(0) == 666);
  CHECK(count(1) == 1);
  CHECK(count(2) == 333);
}

TEST_CASE("smoothOrder of nothing is empty", "[sdk]") {
  CHECK(lemonade::sdk::smoothOrder({}).empty());
  CHECK(lemonade::sdk::smoothOrder(std::vector<std::uint32_t>{0, 0}).empty());
}
