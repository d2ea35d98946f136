// SPDX-License-Identifier: MIT
//
// What the ejection of outliers is worth to each strategy, and that it is quiet where nobody stands out.
#include "simulation/world.h"

#include <catch2/catch.hpp>

#include <string>

namespace lemonade::sim {
namespace {

Strategies& strategies() {
  static Strategies all(LEMONADE_SIMULATED_PLUGINS);
  return all;
}

Result run(const std::string& key, const std::string& strategy, const health::OutlierSettings& outliers) {
  Scenario scenario = scenarioOf(key, 60);
  scenario.outliers = outliers;
  return runAll(scenario, strategies(), strategy, 1, 2);
}

const health::OutlierSettings kBoth{.failing_share = 0.02, .slow_factor = 3};

}  // namespace

TEST_CASE("A backend that fails a fifth of its clients costs a few clients instead of thousands",
          "[simulation][outliers]") {
  const std::string strategy = GENERATE("round_robin", "least_connections", "consistent_hash", "adaptive");
  CAPTURE(strategy);
  CHECK(run("o-fail20", strategy, {}).errors > 2'000);
  CHECK(run("o-fail20", strategy, kBoth).errors < 200);
}

TEST_CASE("A slow backend is ejected where the strategy does not see that it is slow", "[simulation][outliers]") {
  const std::string strategy = GENERATE("least_connections", "consistent_hash");
  const std::string key = GENERATE("o-slow10", "o-slow4", "o-flap");
  CAPTURE(strategy, key);
  CHECK(run(key, strategy, kBoth).quantile(0.999) < 0.7 * run(key, strategy, {}).quantile(0.999));
}

TEST_CASE("Turns are not lost any more to a backend that is slow", "[simulation][outliers]") {
  CHECK(run("o-slow10", "round_robin", {}).errors > 10'000);
  CHECK(run("o-slow10", "round_robin", kBoth).errors < 2'000);
}

TEST_CASE("Ejecting outliers by latency changes next to nothing for adaptive", "[simulation][outliers]") {
  const std::string key = GENERATE("o-slow10", "o-slow4", "o-half", "o-flap");
  CAPTURE(key);
  const double with = run(key, "adaptive", kBoth).quantile(0.99), without = run(key, "adaptive", {}).quantile(0.99);
  CHECK(with == Approx(without).epsilon(0.02));
}

TEST_CASE("Where nobody stands out nobody is ejected", "[simulation][outliers]") {
  const std::string strategy = GENERATE("round_robin", "least_connections", "consistent_hash", "adaptive");
  CAPTURE(strategy);
  SECTION("all are alike") {
    CHECK(run("o-none", strategy, kBoth).latencies_ms == run("o-none", strategy, {}).latencies_ms);
  }
  SECTION("all are slow together") {
    auto with = run("o-all4", strategy, kBoth), without = run("o-all4", strategy, {});
    CHECK(with.quantile(0.99) <= 1.05 * without.quantile(0.99));
  }
  SECTION("all fail together") {
    CHECK(run("o-failall", strategy, kBoth).errors <= run("o-failall", strategy, {}).errors);
  }
}

}  // namespace lemonade::sim
