// SPDX-License-Identifier: MIT
//
// What clients see in the scenarios with each strategy. Backends that reset are ejected; hanging ones are not, and show
// what the strategies do alone.
#include "simulation/world.h"

#include <catch2/catch.hpp>

#include <map>

namespace lemonade::sim {
namespace {

const std::vector<std::string> kStrategies = {
    "round_robin", "weighted_round_robin", "least_connections", "random_two", "fastest_response_time",
    "peak_ewma",   "consistent_hash",      "adaptive"};

Strategies& strategies() {
  static Strategies all(LEMONADE_SIMULATED_PLUGINS);
  return all;
}

Scenario scenario(const std::string& key) {
  for (auto& one : standardScenarios(40))
    if (one.key == key) return one;
  throw std::logic_error("there is no scenario " + key);
}

Result run(const Scenario& scenario, const std::string& strategy) {
  return runAll(scenario, strategies(), strategy, 1, 3);
}

TEST_CASE("The same seed gives the same run and another seed another", "[simulation][short]") {
  const auto latencies = [](std::uint64_t seed) {
    return World(scenario("a"), strategies(), "adaptive", seed).run().latencies_ms;
  };
  const auto first = latencies(1);
  CHECK(first == latencies(1));
  CHECK(first != latencies(2));
}

TEST_CASE("An idle pool answers in the time of the work alone", "[simulation]") {
  // The 99 % quantile of an exponential distribution is its mean times ln 100; 0.1 ms more is for the connect.
  auto quiet = plain(8, 600);
  quiet.rate = 20;
  CHECK(run(quiet, "adaptive").quantile(0.99) == Approx(5 * 4.605 + 0.1).epsilon(0.05));
}

TEST_CASE("A lone server behaves as the formula of its queue says", "[simulation]") {
  // M/M/1: time in the system is exponential with mean work / (1 - load).
  Result result = run(plain(1, 2'000), "round_robin");
  CHECK(result.quantile(0.5) == Approx(0.693 * 5 / 0.4 + 0.1).epsilon(0.08));
}

TEST_CASE("No strategy answers what the host cannot use nor loses a client that has a way out", "[simulation][short]") {
  const std::string strategy = GENERATE(from_range(kStrategies));
  CAPTURE(strategy);
  const auto d = run(scenario("d"), strategy);
  CHECK(d.invalid_picks == 0);
  // Only those that were under way at the backend that went down.
  CHECK(d.errors < 40);
}

TEST_CASE("Adaptive has the best 99 % quantile in most scenarios and is never far from it", "[long]") {
  int best_in = 0;
  for (const std::string key : {"a", "b", "c", "d", "e", "f", "g", "h"}) {
    double best = std::numeric_limits<double>::infinity();
    for (const auto& strategy : kStrategies) best = std::min(best, run(scenario(key), strategy).quantile(0.99));
    const double adaptive = run(scenario(key), "adaptive").quantile(0.99);
    CAPTURE(key, best, adaptive);
    CHECK(adaptive < 2 * best);
    if (adaptive <= 1.05 * best) ++best_in;
  }
  CHECK(best_in >= 6);
}

TEST_CASE("Adaptive halves the 99 % quantile of least connections beside a slow backend", "[simulation]") {
  auto a = scenario("a");
  CHECK(run(a, "adaptive").quantile(0.99) < 0.6 * run(a, "least_connections").quantile(0.99));
  SECTION("also where traffic is low") {
    a.seconds = 2'000;
    a.rate = 10;
    CHECK(run(a, "adaptive").quantile(0.99) < 0.3 * run(a, "least_connections").quantile(0.99));
  }
}

TEST_CASE("A backend that resets gets few clients whatever the strategy", "[simulation]") {
  const std::string strategy = GENERATE(from_range(kStrategies));
  CAPTURE(strategy);
  // Of some 100,000 after the fault; without ejection least connections loses 20,000.
  CHECK(run(scenario("c"), strategy).errors < 200);
}

TEST_CASE("Long sessions that are mostly idle do not mislead adaptive", "[simulation]") {
  CHECK(run(scenario("f"), "adaptive").quantile(0.99) < 0.9 * run(scenario("f"), "least_connections").quantile(0.99));
}

TEST_CASE("A backend that stalls for a moment is not shunned for long", "[simulation]") {
  auto stalls = run(scenario("i"), "adaptive");
  auto by_count = run(scenario("i"), "least_connections");
  CHECK(stalls.quantile(0.99) < 1.5 * by_count.quantile(0.99));
  CHECK(stalls.quantile(0.999) < 0.6 * by_count.quantile(0.999));
  CHECK(stalls.mostOverMean() < 1.2);
}

TEST_CASE("A backend that recovers has its share again after its slow start", "[simulation]") {
  const std::string strategy = GENERATE(from_range(kStrategies));
  CAPTURE(strategy);
  auto d = scenario("d");
  d.measure_from = 35;  // up at 20, found at about 24, slow until 34
  d.seconds = 60;
  d.timetable[1].at = 20;
  CHECK(run(d, strategy).share(0) == Approx(1.0 / 8).margin(strategy == "consistent_hash" ? 0.03 : 0.02));
}

TEST_CASE("Clients follow the capacity of the backends where latency counts", "[simulation]") {
  const auto result = run(scenario("e"), "adaptive");
  const double slow = result.share(0) + result.share(1) + result.share(2);
  const double fast = result.share(6) + result.share(7);
  // Of the capacity they have 0.75 and 2 of 4.25.
  CHECK(slow < 0.75 / 4.25);
  CHECK(fast > 2 / 4.25);
  CHECK(slow > 0.03);
}

}  // namespace
}  // namespace lemonade::sim
