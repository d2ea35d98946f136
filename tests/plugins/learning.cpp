// SPDX-License-Identifier: MIT
//
// Weights that are learned, in the simulation: before servers of capacities 1, 2 and 4 the strategies that do not go by
// response time come near the one that does.
#include "simulation/world.h"

#include <catch2/catch.hpp>

#include <string>

namespace lemonade::sim {
namespace {

Strategies& strategies() {
  static Strategies all(LEMONADE_SIMULATED_PLUGINS);
  return all;
}

/// Capacities 1:2:4, of which the first seconds, in which they are learned, do not count.
Scenario unequal(bool learns) {
  for (auto& scenario : standardScenarios(60))
    if (scenario.key == "e") {
      scenario.measure_from = 20;
      if (learns) scenario.options["learn_weights"] = "true";
      return scenario;
    }
  throw std::logic_error("there is no scenario e");
}

double p99(const Scenario& scenario, const std::string& strategy) {
  auto result = runAll(scenario, strategies(), strategy, 1, 4);
  CHECK(result.errors == 0);
  return result.quantile(0.99);
}

std::string anyLearner() {
  return GENERATE("weighted_round_robin", "least_connections", "random_two", "consistent_hash");
}

/// One of the harder scenarios, learned or not.
Scenario harder(const std::string& key, bool learns) {
  Scenario scenario = scenarioOf(key, 60);
  scenario.measure_from = 20;
  if (learns) scenario.options["learn_weights"] = "true";
  return scenario;
}

}  // namespace

TEST_CASE("Strategies that learn weights come near adaptive before unequal servers", "[simulation][learning]") {
  const double best = p99(unequal(false), "adaptive");
  for (const std::string strategy : {"weighted_round_robin", "least_connections", "random_two", "consistent_hash"}) {
    const double without = runAll(unequal(false), strategies(), strategy, 1, 4).quantile(0.99);
    const double learned = p99(unequal(true), strategy);
    CAPTURE(strategy, best, without, learned);
    CHECK(learned < 1.3 * best);
    CHECK(learned < 0.7 * without);
  }
}

TEST_CASE("Weights that are learned before equal servers cost nothing", "[simulation][learning]") {
  const std::string strategy = anyLearner();
  CAPTURE(strategy);
  // Turns that are passed on are better than turns that are not.
  CHECK(p99(harder("v1", true), strategy) < 1.03 * p99(harder("v1", false), strategy));
}

TEST_CASE("Servers that answer many at once are not taken for faster because they have more",
          "[simulation][learning]") {
  const std::string strategy = anyLearner();
  CAPTURE(strategy);
  auto learned = runAll(harder("wide", true), strategies(), strategy, 1, 2);
  auto without = runAll(harder("wide", false), strategies(), strategy, 1, 2);
  CHECK(learned.quantile(0.5) < 1.03 * without.quantile(0.5));
  CHECK(learned.mostOverMean() < 1.25);
}

}  // namespace lemonade::sim
