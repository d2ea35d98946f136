// SPDX-License-Identifier: MIT
#include "simulation/scenario.h"

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace lemonade::sim {

namespace {

constexpr double kOutlierLoad = 0.6;
constexpr std::uint32_t kAlike = 8;

/// Eight servers that are alike, of which `first` to `last` do something from 15 % of the run on.
Scenario standingOut(const char* key, const char* title, double seconds, std::uint32_t first, std::uint32_t last,
                     Action action, double factor, double load = kOutlierLoad) {
  Scenario scenario;
  scenario.key = key;
  scenario.title = title;
  scenario.servers = kAlike;
  scenario.seconds = seconds;
  scenario.checks = false;
  scenario.work_variation = 1;
  setLoad(scenario, load);
  for (std::uint32_t server = first; server <= last; ++server)
    scenario.timetable.push_back({0.15 * seconds, server, action, factor});
  return scenario;
}

/// One of them is 10x slow for four seconds of every eight.
Scenario slowInTurn(double seconds) {
  Scenario scenario = standingOut("o-flap", "one is 10x slow for 4 s of every 8", seconds, 0, 0, Action::kSlow, 1);
  for (int turn = 0; 8.0 * turn + 4 < seconds; ++turn) {
    scenario.timetable.push_back({8.0 * turn + 4, 0, Action::kSlow, 10});
    scenario.timetable.push_back({8.0 * turn + 8, 0, Action::kSlow, 1});
  }
  return scenario;
}

}  // namespace

std::vector<Scenario> outlierScenarios(double seconds) {
  constexpr std::uint32_t last = kAlike - 1;
  std::vector<Scenario> all;
  all.push_back(standingOut("o-none", "nobody stands out", seconds, 0, 0, Action::kSlow, 1));
  all.push_back(standingOut("o-slow10", "one is 10x slow", seconds, 0, 0, Action::kSlow, 10));
  all.push_back(standingOut("o-slow4", "one is 4x slow", seconds, 0, 0, Action::kSlow, 4));
  all.push_back(standingOut("o-half", "one is 2x slow", seconds, 0, 0, Action::kSlow, 2));
  all.push_back(slowInTurn(seconds));
  all.push_back(standingOut("o-all4", "all are 4x slow together", seconds, 0, last, Action::kSlow, 4, 0.2));
  all.push_back(standingOut("o-fail50", "one fails half of its clients", seconds, 0, 0, Action::kReset, 0.5));
  all.push_back(standingOut("o-fail20", "one fails a fifth of its clients", seconds, 0, 0, Action::kReset, 0.2));
  all.push_back(standingOut("o-fail5", "one fails a twentieth of its clients", seconds, 0, 0, Action::kReset, 0.05));
  all.push_back(
      standingOut("o-failall", "all fail a fifth of their clients together", seconds, 0, last, Action::kReset, 0.2));
  return all;
}

std::vector<Scenario> shippedScenarios(double seconds) {
  auto all = standardScenarios(seconds);
  for (auto& more : {harderScenarios(seconds), outlierScenarios(seconds)})
    std::ranges::copy(more, std::back_inserter(all));
  return all;
}

Scenario scenarioOf(const std::string& key, double seconds) {
  for (const auto& scenario : shippedScenarios(seconds))
    if (scenario.key == key) return scenario;
  throw std::out_of_range("there is no scenario " + key);
}

}  // namespace lemonade::sim
