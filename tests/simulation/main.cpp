// SPDX-License-Identifier: MIT
//
// The simulation as a command: prints a table of what clients see with each strategy.
#include "simulation/contender.h"
#include "simulation/world.h"

#include <CLI/CLI.hpp>

#include <cmath>
#include <cstdio>

namespace {

using namespace lemonade::sim;

struct Wish {
  std::vector<std::string> strategies = {"round_robin", "least_connections", "random_two", "fastest_response_time",
                                         "peak_ewma",   "consistent_hash",   "adaptive"};
  std::vector<std::string> scenarios = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};
  std::vector<std::string> options;
  double seconds = 60;
  std::uint64_t seed = 1;
  std::uint64_t runs = 1;
  double rate = 0;
  double load = 0;
  bool harder = false;
  bool outliers = false;
  double failing_share = 0;
  double slow_factor = 0;
  bool frontier = false;
  bool brief = false;
  std::uint32_t balancers = 0;
  std::uint32_t servers = 8;
};

std::vector<Scenario> chosen(const Wish& wish) {
  if (wish.balancers != 0) return {manyBalancers(wish.balancers, wish.servers, wish.seconds)};
  if (wish.harder) return harderScenarios(wish.seconds);
  if (wish.outliers) return outlierScenarios(wish.seconds);
  std::vector<Scenario> scenarios;
  for (const auto& key : wish.scenarios) scenarios.push_back(scenarioOf(key, wish.seconds));
  return scenarios;
}

Scenario as(Scenario scenario, const std::string& strategy, const Wish& wish) {
  if (wish.rate > 0) scenario.rate = wish.rate;
  if (wish.load > 0) setLoad(scenario, wish.load);
  scenario.outliers.failing_share = wish.failing_share;
  scenario.outliers.slow_factor = wish.slow_factor;
  if (strategy != "adaptive" && wish.strategies.size() != 1) return scenario;
  for (const auto& option : wish.options) {
    const auto equals = option.find('=');
    scenario.options[option.substr(0, equals)] = option.substr(equals + 1);
  }
  return scenario;
}

void print(const Scenario& scenario, Strategies& strategies, const Wish& wish) {
  std::printf("\n%s: %s, %g s, %g requests a second\n\n", scenario.key.c_str(), scenario.title.c_str(),
              scenario.seconds, as(scenario, "", wish).rate);
  std::puts(
      "| strategy | p50 ms | p99 ms | p99.9 ms | of the oracle's | errors | first server's share | longest queue |");
  std::puts("|---|---|---|---|---|---|---|---|");
  const double oracle =
      runAll(as(scenario, "oracle", wish), strategies, "oracle", wish.seed, wish.runs).quantile(0.999);
  for (const auto& strategy : wish.strategies) {
    Result result = runAll(as(scenario, strategy, wish), strategies, strategy, wish.seed, wish.runs);
    const double last = result.quantile(0.999);
    std::printf("| `%s` | %.1f | %.1f | %.1f | %.2f | %llu | %.1f %% | %zu |\n", strategy.c_str(), result.quantile(0.5),
                result.quantile(0.99), last, last / oracle, static_cast<unsigned long long>(result.errors),
                100 * result.share(0), result.longestQueue());
    std::fflush(stdout);
  }
}

/// One row for each scenario: the p99 of each strategy.
void printBrief(const std::vector<Scenario>& scenarios, Strategies& strategies, const Wish& wish) {
  std::string head = "| |", line = "|---|";
  for (const auto& strategy : wish.strategies) {
    head += " `" + strategy + "` |";
    line += "---|";
  }
  std::printf("%s\n%s\n", head.c_str(), line.c_str());
  for (const auto& scenario : scenarios) {
    std::printf("| %s: %s |", scenario.key.c_str(), scenario.title.c_str());
    for (const auto& strategy : wish.strategies) {
      const double p99 =
          runAll(as(scenario, strategy, wish), strategies, strategy, wish.seed, wish.runs).quantile(0.99);
      std::isinf(p99) ? std::printf(" never |") : std::printf(" %.0f |", p99);
      std::fflush(stdout);
    }
    std::puts("");
  }
}

void printFrontier(const Scenario& scenario, Strategies& strategies, const Wish& wish) {
  std::printf("\n%s: %s\n\n", scenario.key.c_str(), scenario.title.c_str());
  std::puts("| strategy | frontier |");
  std::puts("|---|---|");
  for (const auto& strategy : wish.strategies) {
    const double load = frontier(as(scenario, strategy, wish), strategies, strategy, wish.seed, wish.runs);
    std::printf("| `%s` | %.2f |\n", strategy.c_str(), load);
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  Wish wish;
  std::string directory = LEMONADE_SIMULATED_PLUGINS;
  CLI::App app("Runs the strategies against simulated servers in virtual time and prints tables.");
  app.add_option("--scenario", wish.scenarios, "by key (default: a to i)")->delimiter(',');
  app.add_flag("--harder", wish.harder, "the harder scenarios, all of them");
  app.add_flag("--outliers", wish.outliers, "the scenarios of outliers, all of them");
  app.add_option("--failing-share", wish.failing_share, "eject outliers by failures, as [ejection] has it");
  app.add_option("--slow-factor", wish.slow_factor, "eject outliers by latency, as [ejection] has it");
  app.add_flag("--brief", wish.brief, "only the 99 % quantile, in one table for all scenarios");
  app.add_flag("--frontier", wish.frontier,
               "the highest load at which one request in a thousand takes longer than ten times what one in a hundred "
               "takes where there is no other");
  app.add_option(
         "--strategy", wish.strategies,
         "ids of strategies (default: all of ours); also nginx, nginx_plain, c3, prequal, speeds, speeds_sure, oracle")
      ->delimiter(',');
  app.add_option("--option", wish.options, "KEY=VALUE for adaptive, or for the one strategy asked for");
  app.add_option("--seconds", wish.seconds, "how long clients come")->check(CLI::PositiveNumber);
  app.add_option("--rate", wish.rate, "requests a second, instead of the scenario's")->check(CLI::PositiveNumber);
  app.add_option("--load", wish.load, "share of the capacity, instead of the scenario's rate")
      ->check(CLI::PositiveNumber);
  app.add_option("--seed", wish.seed, "of the first run");
  app.add_option("--runs", wish.runs, "runs with following seeds, counted together")->check(CLI::PositiveNumber);
  app.add_option("--balancers", wish.balancers, "that share nothing, instead of the scenarios");
  app.add_option("--servers", wish.servers, "with --balancers: how many they share")->check(CLI::PositiveNumber);
  app.add_option("--plugin-dir", directory, "where the strategies are");
  CLI11_PARSE(app, argc, argv);
  try {
    Strategies strategies(directory);
    if (wish.brief) {
      printBrief(chosen(wish), strategies, wish);
      return 0;
    }
    for (const auto& scenario : chosen(wish))
      wish.frontier ? printFrontier(scenario, strategies, wish) : print(scenario, strategies, wish);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "simulation: %s\n", e.what());
    return 1;
  }
}
