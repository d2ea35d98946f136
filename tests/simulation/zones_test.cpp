// SPDX-License-Identifier: MIT
//
// Where requests go, and how long they take, when a strategy prefers the balancer's own zone.
#include "simulation/world.h"

#include <catch2/catch.hpp>

#include <string>

namespace lemonade::sim {
namespace {

Strategies& strategies() {
  static Strategies all(LEMONADE_SIMULATED_PLUGINS);
  return all;
}

/// Eight servers, the first four in the zone of the balancer; `load` is the share of their capacity that clients ask.
Scenario twoZones(double load, double seconds = 60) {
  Scenario scenario = plain(8, seconds);
  scenario.rate = load * 8 * 1'000 / scenario.work_ms;
  scenario.zones = {"here", "here", "here", "here", "there", "there", "there", "there"};
  scenario.own_zones = {"here"};
  scenario.options = {{"zone_aware", "true"}};
  return scenario;
}

/// The same with work in the own zone that takes `factor` times as long.
Scenario slowHere(double load, double factor) {
  Scenario scenario = twoZones(load);
  for (std::uint32_t i = 0; i < 4; ++i) scenario.timetable.push_back({0, i, Action::kSlow, factor});
  return scenario;
}

Result run(const Scenario& scenario, const std::string& strategy) {
  return runAll(scenario, strategies(), strategy, 1, 2);
}

double p99Without(Scenario scenario, const std::string& strategy) {
  scenario.options = {};
  return run(scenario, strategy).quantile(0.99);
}

std::string eitherStrategy() { return GENERATE("adaptive", "least_connections"); }

}  // namespace

TEST_CASE("Zones that are known change nothing where they are not preferred", "[simulation][zones][short]") {
  const std::string strategy = eitherStrategy();
  Scenario known = twoZones(0.5, 20);
  known.options = {};
  Scenario unknown = known;
  unknown.zones.clear();
  unknown.own_zones.clear();
  CHECK(World(known, strategies(), strategy, 1).run().latencies_ms ==
        World(unknown, strategies(), strategy, 1).run().latencies_ms);
}

TEST_CASE("Equal zones keep nearly every request in the own one", "[simulation][zones]") {
  const std::string strategy = eitherStrategy();
  const double load = GENERATE(0.05, 0.2);
  CAPTURE(strategy, load);
  const auto result = run(twoZones(load), strategy);
  CHECK(result.nearShare() > 0.96);
  CHECK(result.errors == 0);
}

TEST_CASE("An own zone that is ten times as slow gives most requests away", "[simulation][zones]") {
  CHECK(run(slowHere(0.3, 10), "adaptive").nearShare() < 0.08);
  // It sees sessions pile up, not how long they take.
  CHECK(run(slowHere(0.3, 10), "least_connections").nearShare() < 0.25);
}

TEST_CASE("An own zone that is asked more than it can do gives away what is too much", "[simulation][zones]") {
  const std::string strategy = eitherStrategy();
  CAPTURE(strategy);
  const auto scenario = twoZones(0.6);  // 120 % of the own zone
  auto result = run(scenario, strategy);
  CHECK(result.nearShare() > 0.55);
  CHECK(result.nearShare() < 0.83);
  CHECK(result.errors == 0);
  // 26 ms without zones, 35 with adaptive and 47 with least_connections.
  CHECK(result.quantile(0.99) < 2 * p99Without(scenario, strategy));
}

TEST_CASE("Three balancers in three zones keep to their own and are as fast as without", "[simulation][zones]") {
  const std::string strategy = eitherStrategy();
  CAPTURE(strategy);
  Scenario scenario = twoZones(0.4);
  scenario.servers = 12;
  scenario.balancers = 3;
  scenario.rate *= 1.5;
  scenario.own_zones = {"a", "b", "c"};
  scenario.zones.clear();
  for (int i = 0; i < 12; ++i) scenario.zones.emplace_back(1, static_cast<char>('a' + i % 3));
  auto result = run(scenario, strategy);
  CHECK(result.nearShare() > 0.9);
  CHECK(result.quantile(0.99) < 1.25 * p99Without(scenario, strategy));
}

TEST_CASE("A server elsewhere takes over while the own zone is down", "[simulation][zones]") {
  const std::string strategy = eitherStrategy();
  CAPTURE(strategy);
  Scenario scenario = twoZones(0.2);
  scenario.checks = true;
  for (std::uint32_t i = 0; i < 4; ++i) scenario.timetable.push_back({0, i, Action::kDown});
  scenario.measure_from = 15;
  const auto result = run(scenario, strategy);
  CHECK(result.nearShare() == 0);
  CHECK(result.errors == 0);
}

}  // namespace lemonade::sim
