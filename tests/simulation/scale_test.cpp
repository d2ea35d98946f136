// SPDX-License-Identifier: MIT
//
// What real sockets on one machine cannot show: a thousand backends, many balancers that share nothing, and hours.
#include "simulation/world.h"

#include <catch2/catch.hpp>

namespace lemonade::sim {
namespace {

Strategies& strategies() {
  static Strategies all(LEMONADE_SIMULATED_PLUGINS);
  return all;
}

Result run(const Scenario& scenario, const std::string& strategy) {
  return World(scenario, strategies(), strategy, 1).run();
}

TEST_CASE("A thousand backends are nearly as good as one queue", "[simulation]") {
  const std::string strategy =
      GENERATE("least_connections", "random_two", "fastest_response_time", "peak_ewma", "adaptive");
  CAPTURE(strategy);
  auto result = run(plain(1'000, 3), strategy);
  CHECK(result.errors == 0);
  // 23 ms is the work alone; turns give 34 ms.
  CHECK(result.quantile(0.99) < (strategy == "random_two" ? 31.5 : 25));
  CHECK(result.longestQueue() <= 7);
}

TEST_CASE("Of a thousand backends a hundred slow ones get little", "[simulation]") {
  const std::string strategy = GENERATE("fastest_response_time", "peak_ewma", "adaptive");
  CAPTURE(strategy);
  auto scenario = plain(1'000, 5);
  scenario.rate *= 0.8;
  for (std::uint32_t i = 0; i < 100; ++i) scenario.timetable.push_back({0, i, Action::kSlow, 10});
  const auto result = run(scenario, strategy);
  double share = 0;
  for (std::uint32_t i = 0; i < 100; ++i) share += result.share(i);
  CHECK(share < 0.025);
}

TEST_CASE("Balancers that share nothing do not run to the same backend", "[simulation]") {
  const std::string strategy =
      GENERATE("least_connections", "random_two", "fastest_response_time", "peak_ewma", "adaptive");
  const auto servers = GENERATE(16u, 100u);
  CAPTURE(strategy, servers);
  const auto scenario = manyBalancers(64, servers, servers == 16 ? 60 : 12);
  auto together = run(scenario, strategy);
  auto by_turns = run(scenario, "round_robin");
  CHECK(together.errors == 0);
  CHECK(together.mostOverMean() < 1.2);
  // Each sees a 64th of the load: there is little to gain, and nothing may be lost.
  CHECK(together.quantile(0.99) < 1.1 * by_turns.quantile(0.99));
}

TEST_CASE("Balancers that share nothing all leave a slow backend", "[simulation]") {
  const std::string strategy = GENERATE("fastest_response_time", "peak_ewma", "adaptive");
  CAPTURE(strategy);
  auto scenario = manyBalancers(64, 16, 30);
  scenario.timetable.push_back({0, 3, Action::kSlow, 10});
  auto result = run(scenario, strategy);
  CHECK(result.errors == 0);
  CHECK(result.share(3) < 0.03);
}

TEST_CASE("Hours of faults leave nothing behind", "[simulation]") {
  const std::string strategy = GENERATE("least_connections", "fastest_response_time", "peak_ewma", "adaptive");
  CAPTURE(strategy);
  Scenario scenario;
  scenario.seconds = 3 * 3'600;
  scenario.rate = 60;
  scenario.work_ms = 80;
  for (std::uint32_t turn = 0; turn < 34; ++turn) {
    const double at = 300.0 * turn;
    const auto server = turn % 8;
    const Action faults[] = {Action::kSlow, Action::kHang, Action::kReset, Action::kDown};
    scenario.timetable.push_back({at, server, faults[turn % 4], 10});
    scenario.timetable.push_back({at + 100, server, Action::kUp});
    scenario.timetable.push_back({at + 100, server, Action::kSlow, 1});
  }
  scenario.measure_from = 34 * 300;
  const auto result = run(scenario, strategy);
  CHECK(result.errors == 0);
  for (std::uint32_t i = 0; i < 8; ++i) CHECK(result.share(i) == Approx(1.0 / 8).margin(0.015));
}

}  // namespace
}  // namespace lemonade::sim
