// SPDX-License-Identifier: MIT
//
// Weights that are learned: what is shared follows the speed that backends have shown, whatever the pool.
#include "support/strategy_fixture.h"

#include <lemonade/sdk/sampling.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace lemonade::test;

namespace {

const std::vector<std::string> kLearners = {LEMONADE_LEARNER_FILES};
const std::map<std::string, std::string> kLearns = {{"learn_weights", "true"}};

std::string anyLearner() { return GENERATE(from_range(kLearners)); }

bool is(const std::string& file, const std::string& strategy) {
  return file.find("/" + strategy + ".so") != std::string::npos;
}

/// What of a speed counts: where sessions are compared anyway it is the speed itself, elsewhere a power of it.
double counted(const std::string& file, double speed) {
  const double power = is(file, "least_connections") ? 1 : is(file, "random_two") ? 1.5 : 2;
  return std::pow(speed, power);
}

/// Backends of weight 1 whose answers take so many milliseconds, and which the strategy has had the time to learn.
void teach(StrategyFixture& strategy, const std::vector<double>& millis) {
  for (std::uint32_t i = 0; i < millis.size(); ++i) strategy.stats(i).exchange_ewma_ns = millis[i] * 1e6;
  for (int i = 0; i < 1'000; ++i) {
    strategy.advance(50'000'000);
    (void)strategy.pick();
  }
}

/// How many of so many sessions each backend holds, that are opened and stay.
std::vector<double> filled(StrategyFixture& strategy, std::size_t sessions) {
  std::vector<double> held(strategy.size());
  for (std::size_t i = 0; i < sessions; ++i) {
    const auto index = strategy.pick();
    REQUIRE(index < held.size());
    strategy.advance(1'000'000);  // large pools are surveyed once a millisecond
    strategy.open(index);
    ++held[index];
  }
  return held;
}

}  // namespace

TEST_CASE("Learned weights share by speed", "[strategy][learning]") {
  const auto file = anyLearner();
  const std::size_t copies = GENERATE(1, 6);  // some, and more than sixteen
  CAPTURE(file, copies);
  std::vector<double> millis;
  for (std::size_t i = 0; i < copies; ++i) millis.insert(millis.end(), {20, 10, 5});
  StrategyFixture strategy(file, equalBackends(millis.size()), kLearns);
  teach(strategy, millis);
  const auto held = filled(strategy, 7'000 * copies);
  double by_speed[3]{};
  for (std::size_t i = 0; i < held.size(); ++i) by_speed[i % 3] += held[i] / static_cast<double>(copies);
  // The bound of consistent_hash lets each have a quarter more than its share.
  const double slack = is(file, "consistent_hash") ? 0.3 : 0.08;
  const double shares[] = {counted(file, 1), counted(file, 2), counted(file, 4)};
  for (int i = 0; i < 3; ++i)
    CHECK(by_speed[i] == Approx(7'000 * shares[i] / (shares[0] + shares[1] + shares[2])).epsilon(slack));
}

TEST_CASE("A learned speed is of response times and of exchanges alone where the host tells both",
          "[strategy][learning]") {
  const auto file = anyLearner();
  if (is(file, "consistent_hash")) return;
  CAPTURE(file);
  StrategyFixture strategy(file, equalBackends(2), kLearns);
  strategy.learn(0, 9'000'000, 100);
  strategy.learn(1, 1'000'000, 100);
  teach(strategy, {40, 10});  // geometric means of 19 and 3.2 ms, if all of it is known
  const auto held = filled(strategy, 7'000);
  CHECK(held[1] / held[0] == Approx(counted(file, std::sqrt(4 * 9))).epsilon(0.1));
}

TEST_CASE("Without learn_weights speed changes nothing", "[strategy][learning]") {
  const auto file = anyLearner();
  if (is(file, "consistent_hash")) return;  // goes by clients
  StrategyFixture strategy(file, equalBackends(3));
  teach(strategy, {20, 10, 5});
  for (const double held : filled(strategy, 3'000)) CHECK(held == Approx(1'000).epsilon(0.08));
}

TEST_CASE("Learned speed multiplies configured weights and unknown backends are as fast as the others",
          "[strategy][learning]") {
  const auto file = anyLearner();
  if (is(file, "consistent_hash")) return;
  CAPTURE(file);
  StrategyFixture strategy(file, weightedBackends({2, 1, 1}), kLearns);
  teach(strategy, {10, 5, 0});
  // 2 * 10 ms and 1 * 5 ms are means of 7.5 ms by speed: 0.75 and 1.5 of the pool's; the third is 1.
  const auto held = filled(strategy, 4'000);
  CHECK(held[0] / held[1] == Approx(2 * counted(file, 0.5)).epsilon(0.1));
  CHECK(held[1] / held[2] == Approx(counted(file, 1.5)).epsilon(0.1));
}

TEST_CASE("What was learned outlives a view and a backend that is ever so slow still gets some",
          "[strategy][learning]") {
  const auto file = anyLearner();
  if (is(file, "consistent_hash")) return;
  CAPTURE(file);
  StrategyFixture strategy(file, equalBackends(2), kLearns);
  teach(strategy, {10'000, 1});
  strategy.publish(equalBackends(2));
  const auto held = filled(strategy, 5'000);
  CHECK(held[0] > 5);
  CHECK(held[0] < 500);
}

TEST_CASE("With learned weights only what may be picked is picked and something is if it can be",
          "[strategy][learning]") {
  const auto file = anyLearner();
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    std::uint64_t n = 0;
    const auto dice = [&](std::uint32_t sides) {
      return static_cast<std::uint32_t>(lemonade::sdk::nthRandom(seed, n++) % sides);
    };
    std::vector<BackendSpec> pool(1 + dice(40));
    for (auto& backend : pool) {
      backend.weight = dice(5);
      backend.healthy = dice(4) != 0;
      backend.max_connections = dice(3) == 0 ? 1 + dice(3) : 0;
    }
    StrategyFixture strategy(file, pool, kLearns);
    for (int round = 0; round < 200; ++round) {
      strategy.advance(30'000'000);
      bool any = false;
      std::vector<std::uint32_t> tried;
      for (std::uint32_t i = 0; i < pool.size(); ++i) {
        auto& stats = strategy.stats(i);
        stats.active = dice(5);
        stats.exchange_ewma_ns = dice(4) == 0 ? 0 : std::pow(10, 3 + dice(9));
        if (dice(6) == 0 && tried.size() < 16) tried.push_back(i);
        const bool open = pool[i].max_connections == 0 || stats.active < pool[i].max_connections;
        const bool is_tried = !tried.empty() && tried.back() == i;
        any |= pool[i].healthy && pool[i].weight != 0 && open && !is_tried;
      }
      const auto index = strategy.pick(tried);
      CAPTURE(file, seed, round, index);
      REQUIRE((index != LEMONADE_PICK_NONE) == any);
      if (!any) continue;
      REQUIRE(index < pool.size());
      REQUIRE(pool[index].healthy);
      REQUIRE(pool[index].weight != 0);
      REQUIRE(std::find(tried.begin(), tried.end(), index) == tried.end());
      REQUIRE((pool[index].max_connections == 0 || strategy.stats(index).active < pool[index].max_connections));
    }
  }
}

TEST_CASE("consistent_hash lets the same clients of a slow backend stay and passes on the others",
          "[strategy][learning]") {
  const std::string file =
      *std::find_if(kLearners.begin(), kLearners.end(), [](const auto& one) { return is(one, "consistent_hash"); });
  StrategyFixture strategy(file, equalBackends(4), kLearns);
  const auto answers = [&] {
    std::vector<std::uint32_t> given;
    for (std::uint32_t client = 0; client < 2'000; ++client) {
      strategy.setClient(client);
      given.push_back(strategy.pick());
    }
    return given;
  };
  const auto before = answers();
  strategy.setClient({});
  teach(strategy, {20, 10, 10, 10});
  const auto after = answers();
  CHECK(answers() == after);
  // By the square of the speed the slow one is worth 4/13 of the mean, so 1.25 times that of its clients stay.
  int own = 0, stayed = 0;
  for (std::size_t client = 0; client < before.size(); ++client) {
    if (before[client] != 0) REQUIRE(after[client] == before[client]);
    if (before[client] != 0) continue;
    ++own;
    stayed += after[client] == 0;
  }
  CHECK(stayed == Approx(own * 1.25 * 4 / 13).margin(30));
}

TEST_CASE("consistent_hash without a bound has nothing to learn for", "[strategy][learning]") {
  for (const auto& file : kLearners)
    if (is(file, "consistent_hash"))
      CHECK_THROWS_WITH(StrategyFixture(file, equalBackends(2), {{"learn_weights", "true"}, {"load_factor", "0"}}),
                        Catch::Contains("bends the bound"));
}
