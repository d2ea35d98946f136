// SPDX-License-Identifier: MIT
//
// What must hold whatever the pool: each property over many pools that are drawn by seed.
#include "support/strategy_fixture.h"

#include <lemonade/sdk/sampling.hpp>

#include <catch2/catch.hpp>

#include <cmath>
#include <numeric>

using namespace lemonade::test;

namespace {

const std::vector<std::string> kFiles = {LEMONADE_STRATEGY_FILES};

std::string file(const std::string& strategy) {
  for (const auto& one : kFiles)
    if (one.find("/" + strategy + ".so") != std::string::npos) return one;
  throw std::logic_error("there is no strategy " + strategy);
}

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : seed_(seed) {}
  /// from to to, both included.
  std::uint32_t between(std::uint32_t from, std::uint32_t to) {
    return from + static_cast<std::uint32_t>(lemonade::sdk::nthRandom(seed_, n_++) % (to - from + 1));
  }
  bool oneIn(std::uint32_t n) { return between(1, n) == 1; }

 private:
  std::uint64_t seed_;
  std::uint64_t n_ = 0;
};

std::vector<std::uint32_t> anyWeights(Dice& dice, std::uint32_t most_backends, std::uint32_t most_weight) {
  std::vector<std::uint32_t> weights(dice.between(2, most_backends));
  for (auto& weight : weights) weight = dice.between(1, most_weight);
  return weights;
}

std::uint32_t sum(const std::vector<std::uint32_t>& values) {
  return std::accumulate(values.begin(), values.end(), 0u);
}

std::vector<BackendSpec> anyPool(Dice& dice) {
  const std::uint32_t sizes[] = {1, 2, 3, 7, 16, 17, 40, 300};
  std::vector<BackendSpec> pool(sizes[dice.between(0, 7)]);
  for (auto& backend : pool) {
    backend.weight = dice.oneIn(5) ? 0 : dice.between(1, 9);
    backend.healthy = !dice.oneIn(5);
    backend.max_connections = dice.oneIn(3) ? dice.between(1, 4) : 0;
    if (dice.oneIn(6)) backend.effective_weight = backend.weight * 100;
  }
  return pool;
}

/// Numbers as the host might write them, and some that it should not.
void anyNumbers(Dice& dice, StrategyFixture& strategy, std::uint32_t index) {
  auto& stats = strategy.stats(index);
  stats.active = dice.oneIn(3) ? 0 : dice.between(0, 6);
  stats.waiting = dice.oneIn(3) ? dice.between(0, 9) : 0;
  stats.waiting_since_sum_us = dice.oneIn(2) ? stats.waiting * (strategy.now() / 1000 - dice.between(0, 5'000'000))
                                             : dice.between(0, 4'000'000'000);
  stats.connect_ewma_ns = dice.oneIn(3) ? 0 : std::pow(10, dice.between(3, 12));
  stats.exchange_ewma_ns = dice.oneIn(3) ? 0 : std::pow(10, dice.between(3, 12));
  stats.sampled_at_ns = strategy.now() + 1'000'000 - dice.between(0, 4'000'000'000);
  stats.failed_at_ns = dice.oneIn(2) ? 0 : strategy.now() + 1'000'000 - dice.between(0, 4'000'000'000);
  stats.fail_streak = dice.oneIn(2) ? 0 : dice.between(1, 20);
  stats.error_rate = static_cast<float>(dice.between(0, 100)) / 100;
  stats.quiet = dice.between(0, 7);
  stats.picks = dice.between(0, 1'000'000);
  auto& speed = strategy.speed(index);
  for (int i = 0; i < LEMONADE_SPEED_SPANS; ++i) {
    speed.root[i] = dice.oneIn(3) ? 0 : std::pow(10.0F, static_cast<float>(dice.between(0, 12)));
    speed.count[i] = dice.oneIn(3) ? 0 : static_cast<float>(dice.between(0, 300));
  }
  speed.spread = dice.oneIn(3) ? 0 : std::pow(10.0F, static_cast<float>(dice.between(0, 30)));
  speed.gap_ns = dice.oneIn(3) ? 0 : std::pow(10.0F, static_cast<float>(dice.between(0, 18)));
  speed.answered_at_ns = speed.head_since_ns = stats.sampled_at_ns;
}

}  // namespace

TEST_CASE("Whatever the pool and its numbers only what may be picked is picked and something is if it can be",
          "[property]") {
  const auto path = GENERATE(from_range(kFiles));
  CAPTURE(path);
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    CAPTURE(seed);
    Dice dice(seed);
    const auto pool = anyPool(dice);
    StrategyFixture strategy(path, pool);
    if (dice.oneIn(10)) strategy.dropPrepared();
    for (int round = 0; round < 20; ++round) {
      for (std::uint32_t i = 0; i < pool.size(); ++i) anyNumbers(dice, strategy, i);
      std::vector<std::uint32_t> tried;
      for (std::uint32_t i = 0; i < pool.size(); ++i)
        if (tried.size() < 16 && dice.oneIn(4)) tried.push_back(i);
      const auto may = [&](std::uint32_t i) {
        return pool[i].healthy && pool[i].weight > 0 &&
               (pool[i].max_connections == 0 || strategy.stats(i).active < pool[i].max_connections) &&
               std::find(tried.begin(), tried.end(), i) == tried.end();
      };
      const auto index = strategy.pick(tried);
      if (index == LEMONADE_PICK_NONE) {
        for (std::uint32_t i = 0; i < pool.size(); ++i) REQUIRE_FALSE(may(i));
      } else {
        REQUIRE(index < pool.size());
        REQUIRE(may(index));
      }
      strategy.advance(700'000);
    }
  }
}

TEST_CASE("Turns by weight are exact over a period and never far from it within", "[property]") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    Dice dice(seed);
    const auto weights = anyWeights(dice, 20, 30);
    const std::uint32_t total = sum(weights);
    StrategyFixture strategy(file("weighted_round_robin"), weightedBackends(weights));
    std::vector<std::uint32_t> counts(weights.size()), last(weights.size());
    for (std::uint32_t turn = 1; turn <= 2 * total; ++turn) {
      const auto index = strategy.pick();
      ++counts[index];
      // Smooth: no backend waits for twice as long as evenly spaced turns would have it.
      const double gap = static_cast<double>(turn - last[index]);
      REQUIRE(gap <= 2.0 * total / weights[index] + 1);
      last[index] = turn;
      if (turn % total != 0) continue;
      for (std::size_t i = 0; i < weights.size(); ++i) REQUIRE(counts[i] == turn / total * weights[i]);
    }
  }
}

TEST_CASE("Held sessions follow the weights", "[property]") {
  const std::string name =
      GENERATE("least_connections", "random_two", "fastest_response_time", "peak_ewma", "adaptive");
  CAPTURE(name);
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    Dice dice(seed);
    const auto weights = anyWeights(dice, 60, 9);
    StrategyFixture strategy(file(name), weightedBackends(weights));
    for (std::uint32_t i = 0; i < weights.size(); ++i) {
      strategy.stats(i).exchange_ewma_ns = 5e6;
      strategy.stats(i).sampled_at_ns = strategy.now();
    }
    for (std::uint32_t i = 0; i < 100 * sum(weights); ++i) strategy.open(strategy.pick());
    const double slack = name == "fastest_response_time" ? 0.3 : name == "adaptive" ? 0.15 : 0.1;
    for (std::uint32_t i = 0; i < weights.size(); ++i)
      REQUIRE(strategy.stats(i).active == Approx(100.0 * weights[i]).epsilon(slack));
  }
}

TEST_CASE("Clients are hashed in proportion to the weights", "[property]") {
  for (std::uint64_t seed = 0; seed < 15; ++seed) {
    CAPTURE(seed);
    Dice dice(seed);
    const auto weights = anyWeights(dice, 40, 9);
    StrategyFixture strategy(file("consistent_hash"), weightedBackends(weights), {{"load_factor", "0"}});
    const auto counts = strategy.shares(2'000 * weights.size());
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const double expected = 2'000.0 * static_cast<double>(weights.size()) * weights[i] / sum(weights);
      // Five standard deviations of the clients, and what the table itself is off.
      REQUIRE(std::abs(static_cast<double>(counts[i]) - expected) < 5 * std::sqrt(expected) + 0.01 * expected);
    }
  }
}

TEST_CASE("More weight never means fewer connections", "[property]") {
  const std::string name = GENERATE("weighted_round_robin", "least_connections", "random_two", "fastest_response_time",
                                    "peak_ewma", "consistent_hash", "adaptive");
  CAPTURE(name);
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    CAPTURE(seed);
    Dice dice(seed);
    auto weights = anyWeights(dice, 24, 5);
    const auto favourite = dice.between(0, static_cast<std::uint32_t>(weights.size()) - 1);
    std::uint32_t before = 0;
    for (const std::uint32_t weight : {1u, 2u, 4u, 8u, 16u}) {
      weights[favourite] = weight;
      StrategyFixture strategy(file(name), weightedBackends(weights));
      for (std::uint32_t i = 0; i < weights.size(); ++i) {
        strategy.stats(i).exchange_ewma_ns = 5e6;
        strategy.stats(i).sampled_at_ns = strategy.now();
      }
      for (int i = 0; i < 4'000; ++i) strategy.open(strategy.pick());
      REQUIRE(strategy.stats(favourite).active > before);
      before = strategy.stats(favourite).active;
    }
  }
}

TEST_CASE("A backend in slow start takes part in as many picks as its share says and is not left without",
          "[property]") {
  const std::string name =
      GENERATE("least_connections", "random_two", "fastest_response_time", "peak_ewma", "adaptive");
  const auto count = GENERATE(std::size_t{2}, std::size_t{8}, std::size_t{15});
  const auto percent = GENERATE(10u, 40u, 90u);
  CAPTURE(name, count, percent);
  auto pool = equalBackends(count);
  pool[1].effective_weight = 10 * percent;
  StrategyFixture strategy(file(name), pool);
  for (std::uint32_t i = 0; i < count; ++i) {
    strategy.stats(i).exchange_ewma_ns = 5e6;
    strategy.stats(i).sampled_at_ns = strategy.now();
    if (i != 1) strategy.open(i, 3);
  }
  // It has nothing to do and the others have, so it is given all that it takes part in; of two that are drawn, what it
  // is drawn for.
  const double drawn =
      1 - (1 - percent / (percent + 100.0 * (count - 1))) * (1 - percent / (percent + 100.0 * (count - 2)));
  const double expected = name == "random_two" && count > 2 ? drawn : percent / 100.0;
  CHECK(strategy.shares(10'000)[1] == Approx(10'000 * expected).margin(300));
}

TEST_CASE("Backends in slow start are picked where there are no others", "[property]") {
  const std::string name =
      GENERATE("least_connections", "random_two", "fastest_response_time", "peak_ewma", "consistent_hash", "adaptive");
  CAPTURE(name);
  std::vector<BackendSpec> pool = equalBackends(3);
  for (auto& backend : pool) backend.effective_weight = 100;
  StrategyFixture strategy(file(name), pool);
  const auto shares = strategy.shares(3'000);
  CHECK(shares[0] + shares[1] + shares[2] == 3'000);
  for (const auto share : shares) CHECK(share > 800);
}

TEST_CASE("A backend that comes or goes moves hardly any client but its own", "[property]") {
  constexpr std::uint32_t kClients = 4'000;
  const auto answers = [](const std::vector<BackendSpec>& pool) {
    StrategyFixture strategy(file("consistent_hash"), pool, {{"load_factor", "0"}});
    std::vector<std::string> ids;
    for (std::uint32_t client = 0; client < kClients; ++client) {
      strategy.setClient(client * 2'654'435'761u);
      ids.push_back(pool[strategy.pick()].id);
    }
    return ids;
  };
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    CAPTURE(seed);
    Dice dice(seed);
    std::vector<BackendSpec> with;
    for (const auto weight : anyWeights(dice, 60, seed % 2 == 0 ? 1 : 5))
      with.push_back({weight, 0, true, "web-" + std::to_string(dice.between(0, 1'000'000'000))});
    const auto gone = dice.between(0, static_cast<std::uint32_t>(with.size()) - 1);
    auto without = with;
    without.erase(without.begin() + gone);
    std::rotate(without.begin(), without.begin() + without.size() / 2, without.end());  // the order does not matter
    auto down = with;
    down[gone].healthy = false;

    const auto before = answers(with), after = answers(without);
    REQUIRE(after == answers(down));
    std::uint32_t moved = 0;
    for (std::uint32_t i = 0; i < kClients; ++i)
      if (before[i] != with[gone].id && before[i] != after[i]) ++moved;
    // Its own clients have to move; of the others one in a hundred may.
    REQUIRE(moved <= 0.01 * kClients);
  }
}
