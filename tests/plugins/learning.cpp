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
  auto result = runAll(scenario, strategies(), strategy, 1, 2);
  CHECK(result.errors == 0);
  return result.quantile(0.99);
}

}  // namespace

TEST_CASE("Strategies that learn weights come near adaptive before unequal servers", "[simulation][learning]") {
  const double best = p99(unequal(false), "adaptive");
  for (const std::string strategy : {"weighted_round_robin", "least_connections", "random_two", "consistent_hash"}) {
    const double without = runAll(unequal(false), strategies(), strategy, 1, 2).quantile(0.99);
    const double learned = p99(unequal(true), strategy);
    CAPTURE(strategy, best, without, learned);
    // Drawing two, or going by clients, is 1.2 times behind adaptive before equal servers, too.
    const double most = strategy == "random_two" ? 1.5 : strategy == "consistent_hash" ? 1.45 : 1.3;
    CHECK(learned < most * best);
    CHECK(learned < 0.7 * without);
  }
}

}  // namespace lemonade::sim
