// SPDX-License-Identifier: MIT
#include "app/run_simulate.h"

#include "app/plugin_paths.h"
#include "app/preparation.h"
#include "cli/asking.h"
#include "cli/exit_codes.h"
#include "cli/simulated.h"
#include "cli/style.h"
#include "config/environment.h"
#include "config/file.h"
#include "config/loader.h"
#include "simulation/chart.h"
#include "simulation/scenario_file.h"
#include "simulation/world.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <utility>

namespace lemonade::app {

namespace {

/// What is wrong with what the user gave; it has been said.
struct WrongInput {};

const std::vector<std::string> kShippedStrategies = {
    "round_robin", "weighted_round_robin", "least_connections", "random_two", "fastest_response_time",
    "peak_ewma",   "consistent_hash",      "adaptive"};

void requireNoErrors(const std::vector<config::Finding>& findings) {
  for (const auto& finding : findings) std::cerr << finding.line() << "\n";
  if (config::hasErrors(findings)) throw WrongInput();
}

/// None where no configuration is given: then the shipped strategies stand for themselves.
std::optional<config::Config> configurationOf(const SimulateArguments& arguments) {
  if (!arguments.config) return std::nullopt;
  auto loaded = config::load({arguments.config, config::processEnvironment(), arguments.plugin_dirs});
  requireNoErrors(loaded.findings);
  return std::move(loaded.config);
}

const config::Pool& poolOf(const config::Config& config, const std::string& name) {
  const auto named = std::ranges::find(config.pools, name, &config::Pool::name);
  if (named != config.pools.end()) return *named;
  std::string known;
  for (const auto& pool : config.pools) known += (known.empty() ? "" : ", ") + pool.name;
  throw std::runtime_error("the configuration has no pool " + name + "; there are: " + known);
}

int listScenarios() {
  cli::Table table({"key", "what happens"});
  for (const auto& scenario : sim::shippedScenarios()) table.add({{scenario.key}, {scenario.title}});
  std::cout << table.text(cli::wantsColour()) << std::flush;
  return cli::kDone;
}

sim::NamedScenario shippedScenario(sim::Scenario scenario) {
  sim::NamedScenario named{std::move(scenario), {}, {}};
  for (std::uint32_t i = 0; i < named.scenario.servers; ++i) named.names.push_back("b" + std::to_string(i + 1));
  return named;
}

sim::NamedScenario scenarioOf(const SimulateArguments& arguments, const config::Pool* pool) {
  for (auto& scenario : sim::shippedScenarios())
    if (scenario.key == arguments.scenario) return shippedScenario(std::move(scenario));
  std::string text;
  if (!arguments.scenario.empty()) {
    auto content = config::readContent(arguments.scenario, config::Streams::kRead);
    if (!content)
      throw std::runtime_error("scenario " + arguments.scenario + ": " + content.error().message +
                               "; give a file, or a key of lemonade simulate --list");
    text = std::move(content.value().text);
  }
  auto named = sim::readScenario(
      text, arguments.scenario, pool == nullptr ? std::vector<sim::WrittenBackend>() : sim::backendsOf(pool->backends));
  requireNoErrors(named.findings);
  return named;
}

std::vector<std::string> strategiesOf(const SimulateArguments& arguments, const config::Pool* pool) {
  auto ids = arguments.strategies.empty() ? kShippedStrategies : arguments.strategies;
  if (arguments.strategies.empty() && pool != nullptr && std::ranges::find(ids, pool->strategy.id) == ids.end())
    ids.insert(ids.begin(), pool->strategy.id);
  return ids;
}

cli::SimulatedStrategy rowOf(const std::string& id, sim::Result& result, std::uint32_t servers) {
  cli::SimulatedStrategy row;
  row.id = id;
  row.p50_ms = result.quantile(0.5);
  row.p99_ms = result.quantile(0.99);
  row.p999_ms = result.quantile(0.999);
  row.requests = result.latencies_ms.size() + result.errors;
  row.errors = result.errors;
  row.invalid_picks = result.invalid_picks;
  for (std::uint32_t i = 0; i < servers; ++i) row.shares.push_back(result.share(i));
  return row;
}

void writePicture(const std::string& path, const std::string& title, std::vector<sim::Curve> curves) {
  std::ofstream file(path);
  file << sim::chart(title, std::move(curves)) << std::flush;
  if (!file) throw std::runtime_error(path + " cannot be written");
}

int simulate(const SimulateArguments& arguments) {
  const auto config = configurationOf(arguments);
  const config::Pool* pool = config ? &poolOf(*config, arguments.pool) : nullptr;
  auto named = scenarioOf(arguments, pool);
  auto& scenario = named.scenario;
  if (config) scenario.own_zones.assign(scenario.balancers, config->runtime.zone);
  if (pool != nullptr && pool->ejection.enabled)
    scenario.outliers = {pool->ejection.failing_share, pool->ejection.slow_factor, pool->ejection.base_time};

  auto directories = arguments.plugin_dirs;
  if (config)
    directories = pluginSearchPath(*config);
  else
    directories.push_back(installedPluginDirectory());
  sim::Strategies strategies(directories);
  if (pool != nullptr) strategies.choose(pool->strategy);

  cli::Simulated simulated{scenario.title, named.names, scenario.seconds, scenario.rate, arguments.seed,
                           arguments.runs, {}};
  std::vector<sim::Curve> curves;
  for (const auto& id : strategiesOf(arguments, pool)) {
    auto result = sim::runAll(scenario, strategies, id, arguments.seed, arguments.runs);
    simulated.strategies.push_back(rowOf(id, result, scenario.servers));
    if (!arguments.svg.empty()) curves.push_back({id, std::move(result)});
  }
  std::cout << (arguments.json ? cli::simulatedJson(simulated) : cli::showSimulated(simulated, cli::wantsColour()))
            << std::flush;
  if (!arguments.svg.empty()) writePicture(arguments.svg, scenario.title, std::move(curves));
  return cli::kDone;
}

}  // namespace

int runSimulate(const SimulateArguments& arguments) try {
  return arguments.list ? listScenarios() : simulate(arguments);
} catch (const WrongInput&) {
  return cli::kWrongUse;
} catch (const std::exception& e) {
  return cli::fail(cli::kWrongUse, e.what());
}

}  // namespace lemonade::app
