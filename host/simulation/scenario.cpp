// SPDX-License-Identifier: MIT
#include "simulation/scenario.h"

namespace lemonade::sim {

namespace {

constexpr double kLoad = 0.6;  // of the capacity

double rateFor(const Scenario& scenario, std::uint32_t servers) { return kLoad * servers * 1'000 / scenario.work_ms; }

Scenario base(const char* key, const char* title, double seconds, double rate) {
  Scenario scenario;
  scenario.key = key;
  scenario.title = title;
  scenario.seconds = seconds;
  scenario.rate = rate;
  return scenario;
}

}  // namespace

std::vector<Scenario> standardScenarios(double seconds) {
  const double fault = 0.15 * seconds;
  std::vector<Scenario> all;
  all.push_back(base("a", "one is 10x slow", seconds, 1'000));
  all.back().timetable = {{fault, 0, Action::kSlow, 10}};
  all.push_back(base("b", "one hangs after accept", seconds, 1'000));
  all.back().timetable = {{fault, 0, Action::kHang}};
  all.push_back(base("c", "one resets in 1 ms", seconds, 1'000));
  all.back().timetable = {{fault, 0, Action::kReset}};
  all.push_back(base("d", "one goes down and recovers", seconds, 1'000));
  all.back().timetable = {{fault, 0, Action::kDown}, {0.5 * seconds, 0, Action::kUp}};
  all.push_back(base("e", "capacities 1:2:4", seconds, 550));
  for (std::uint32_t i = 0; i < 6; ++i) all.back().timetable.push_back({0, i, Action::kSlow, i < 3 ? 4.0 : 2.0});
  all.push_back(base("f", "long sessions among short requests", seconds, 550));
  all.back().session_rate = 10;
  all.push_back(base("g", "one flaps every 2 s", seconds, 1'000));
  for (double at = 2; at < seconds; at += 4) {
    all.back().timetable.push_back({at, 0, Action::kDown});
    all.back().timetable.push_back({at + 2, 0, Action::kUp});
  }
  all.push_back(base("h", "a flash crowd", seconds, 500));
  all.back().crowd_from = 0.4 * seconds;
  all.back().crowd_to = 0.6 * seconds;
  all.back().crowd_factor = 3;
  all.push_back(base("i", "each stalls for a moment every 20 s", seconds, 1'000));
  for (int turn = 0; 2.5 * turn + 0.3 < seconds; ++turn) {
    const auto server = static_cast<std::uint32_t>(turn % 8);
    all.back().timetable.push_back({2.5 * turn, server, Action::kSlow, 50});
    all.back().timetable.push_back({2.5 * turn + 0.3, server, Action::kSlow, 1});
  }
  return all;
}

Scenario manyBalancers(std::uint32_t balancers, std::uint32_t servers, double seconds) {
  Scenario scenario = plain(servers, seconds);
  scenario.key = std::to_string(balancers) + "x" + std::to_string(servers);
  scenario.title = std::to_string(balancers) + " balancers, " + std::to_string(servers) + " servers";
  scenario.balancers = balancers;
  return scenario;
}

Scenario plain(std::uint32_t servers, double seconds) {
  Scenario scenario;
  scenario.key = std::to_string(servers);
  scenario.title = std::to_string(servers) + " servers";
  scenario.servers = servers;
  scenario.seconds = seconds;
  scenario.measure_from = 0.2 * seconds;
  scenario.rate = rateFor(scenario, servers);
  scenario.checks = false;
  return scenario;
}

}  // namespace lemonade::sim
