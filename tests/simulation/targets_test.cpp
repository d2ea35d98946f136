// SPDX-License-Identifier: MIT
//
// What adaptive is held to against the best of our other strategies and of nginx, C3 and Prequal, and against an
// oracle. All runs have seeds, so a test passes always or never; where a target is not reached it is said what is.
#include "simulation/contender.h"
#include "simulation/world.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

namespace lemonade::sim {
namespace {

Strategies& strategies() {
  static Strategies all(LEMONADE_SIMULATED_PLUGINS);
  return all;
}

// fastest_response_time believes what adaptive believes of speed and differs in what it counts as load: it is no rival,
// but adaptive may not be behind it.
const std::string kSibling = "fastest_response_time";
const std::vector<std::string> kRivals = {"least_connections", "peak_ewma", "nginx", "nginx_plain", "c3", "prequal"};

/// What clients see with adaptive, with the best of the others, and with the oracle, ms.
struct Compared {
  std::string key;
  double adaptive, best, regret;
  std::string best_is;
  std::uint64_t errors, best_errors;
  double of_sibling = 0;
  double ratio() const { return adaptive / best; }
};

Compared compare(const std::string& key, double seconds, std::uint64_t runs,
                 const std::vector<std::string>& rivals = kRivals) {
  const Scenario scenario = scenarioOf(key, seconds);
  Result ours = runAll(scenario, strategies(), "adaptive", 1, runs);
  Compared compared{key, ours.quantile(0.99), std::numeric_limits<double>::infinity(), 0, "", ours.errors, 0};
  for (const auto& rival : rivals) {
    Result theirs = runAll(scenario, strategies(), rival, 1, runs);
    const double p99 = theirs.quantile(0.99);
    if (!(p99 < compared.best)) continue;
    compared.best = p99;
    compared.best_is = rival;
    compared.best_errors = theirs.errors;
  }
  compared.of_sibling = compared.adaptive / runAll(scenario, strategies(), kSibling, 1, runs).quantile(0.99);
  compared.regret = ours.quantile(0.999) / runAll(scenario, strategies(), "oracle", 1, runs).quantile(0.999);
  return compared;
}

/// The fewest that one of our own loses. The contenders count their own picks, and one that the coin of a trial takes
/// back is never closed, so that they do not return to a server that was on trial: they lose fewer than they would.
std::uint64_t errorsOfOurs(const std::string& key, double seconds, std::uint64_t runs) {
  std::uint64_t fewest = std::numeric_limits<std::uint64_t>::max();
  for (const std::string id : {"least_connections", "peak_ewma", "fastest_response_time"})
    fewest = std::min(fewest, runAll(scenarioOf(key, seconds), strategies(), id, 1, runs).errors);
  return fewest;
}

}  // namespace

TEST_CASE("Adaptive takes servers that differ by chance only for equals", "[simulation][short]") {
  const auto compared = compare("v1", 30, 2, {"least_connections", "nginx"});
  CAPTURE(compared.adaptive, compared.best, compared.best_is);
  CHECK(compared.ratio() <= 1.02);
  CHECK(compared.regret <= 1.5);
}

TEST_CASE("Adaptive is ahead where servers differ", "[simulation][short]") {
  const std::string key = GENERATE("e", "ant");
  const auto compared = compare(key, 30, 1, {"least_connections", "nginx", "peak_ewma"});
  CAPTURE(key, compared.adaptive, compared.best, compared.best_is);
  CHECK(compared.ratio() <= 0.95);
}

TEST_CASE("The contenders behave as they are described", "[simulation][short]") {
  const Scenario plain = scenarioOf("v1", 20);
  const auto p99 = [&](const std::string& id) { return runAll(plain, strategies(), id, 1, 1).quantile(0.99); };
  // nginx has clusters of 20 ms, in which these servers are all the time: it goes by connections.
  CHECK(p99("nginx_plain") == Approx(p99("least_connections")).epsilon(0.03));
  // Who knows the work left is ahead of all.
  for (const auto& rival : kRivals) CHECK(p99("oracle") < p99(rival));
  // Probes cost work.
  Scenario costly = plain;
  costly.probe_ms = 0.5;
  CHECK(runAll(costly, strategies(), "prequal", 1, 1).quantile(0.99) > 1.2 * p99("prequal"));
}

TEST_CASE("What adaptive lacks beside the oracle is mostly what each request will cost", "[simulation]") {
  const std::string key = GENERATE("e", "ant");
  const auto last = [&](const std::string& id) {
    return runAll(scenarioOf(key, 40), strategies(), id, 1, 6).quantile(0.999);
  };
  const double oracle = last("oracle"), speeds = last("speeds"), sure = last("speeds_sure"),
               adaptive = last("adaptive");
  CAPTURE(key, oracle, speeds, sure, adaptive);
  // Who knows every speed and every queue, but no request, is no nearer than that.
  CHECK(speeds > 1.5 * oracle);
  CHECK(sure > 1.45 * oracle);
  // Speeds that change have to be found out first.
  CHECK(adaptive < (key == "ant" ? 1.2 : 1.07) * speeds);
}

TEST_CASE("Against the best contender adaptive loses nothing among equals", "[long]") {
  const std::string key = GENERATE("v0.5", "v1", "v2", "4x16", "16x16", "sparse");
  const auto compared = compare(key, 40, 6);
  CAPTURE(key, compared.adaptive, compared.best, compared.best_is, compared.errors, compared.best_errors);
  // C3 is told by each answer how many requests of all balancers its server has.
  CHECK(compared.ratio() <= (key == "16x16" ? 1.03 : 1.02));
  CHECK(compared.of_sibling <= 1.02);
  CHECK(compared.regret <= 1.5);
}

TEST_CASE("Against the best contender adaptive wins where servers differ", "[long]") {
  // Beside a single slow server the best that is left is least connections of the others, which nginx nearly is.
  const auto [key, most] = GENERATE(table<std::string, double>({{"e", 0.95},
                                                                {"two", 0.95},
                                                                {"1.3", 0.95},
                                                                {"ant", 0.95},
                                                                {"ant4", 0.95},
                                                                {"long", 0.95},
                                                                {"slow3", 0.97},
                                                                {"a", 1.0},
                                                                {"sparse5", 1.0},
                                                                {"threads", 0.95}}));
  const auto compared = compare(key, 40, 6);
  CAPTURE(key, compared.adaptive, compared.best, compared.best_is, compared.regret);
  CHECK(compared.ratio() <= most);
  CHECK(compared.of_sibling <= 1.02);
  // An oracle that knows what each request will cost is far ahead where speeds differ or change: see below.
  CHECK(compared.regret <= (key == "e" || key == "ant" ? 1.8 : 1.5));
}

TEST_CASE("Adaptive is nowhere worse than twice the best contender", "[long]") {
  for (const std::string key : {"a", "b", "c", "d", "f", "g", "h", "i", "v5"}) {
    const auto compared = compare(key, 40, 3);
    CAPTURE(key, compared.adaptive, compared.best, compared.best_is, compared.errors, compared.best_errors);
    CHECK(compared.ratio() <= (key == "i" ? 1.15 : 1.05));
    CHECK(compared.of_sibling <= (key == "i" ? 1.1 : 1.05));
    CHECK(compared.errors <= errorsOfOurs(key, 40, 3) + 15);
  }
}

TEST_CASE("Adaptive bears as much load as Prequal without a probe", "[long]") {
  const std::string key = GENERATE("v1", "v2", "two", "ant");
  CAPTURE(key);
  const Scenario scenario = scenarioOf(key, 60);
  const double ours = frontier(scenario, strategies(), "adaptive", 1, 2);
  CHECK(ours >= frontier(scenario, strategies(), "prequal", 1, 2) - 0.05);
  CHECK(ours > 0);
}

}  // namespace lemonade::sim
