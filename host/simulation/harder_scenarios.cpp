// SPDX-License-Identifier: MIT
#include "simulation/scenario.h"

#include "simulation/timeline.h"

#include <algorithm>
#include <utility>

namespace lemonade::sim {

namespace {

constexpr double kUsualLoad = 0.7;

Scenario harder(const char* key, std::string title, double seconds) {
  Scenario scenario;
  scenario.key = key;
  scenario.title = std::move(title);
  scenario.seconds = seconds;
  scenario.measure_from = 0.1 * seconds;
  scenario.checks = false;
  scenario.work_variation = 1;
  return scenario;
}

/// Equal servers under work of this variation.
Scenario varying(const char* key, double variation, double seconds) {
  Scenario scenario = harder(key, "equal servers, work of variation " + std::string(key + 1), seconds);
  scenario.work_variation = variation;
  scenario.equal = true;
  setLoad(scenario, kUsualLoad);
  return scenario;
}

Scenario shared(const char* key, std::uint32_t balancers, double seconds) {
  Scenario scenario = harder(key, std::to_string(balancers) + " balancers before 16 equal servers", seconds);
  scenario.balancers = balancers;
  scenario.servers = 16;
  scenario.equal = true;
  setLoad(scenario, kUsualLoad);
  return scenario;
}

/// Every group of so many servers is at full, half or a quarter of its speed, and changes every 0.5 to 5 s.
Scenario antagonist(const char* key, const char* title, std::uint32_t servers, std::uint32_t group, double seconds) {
  Scenario scenario = harder(key, title, seconds);
  scenario.servers = servers;
  Random random(servers + group);
  for (std::uint32_t first = 0; first < servers; first += group)
    for (double at = 0; at < seconds; at += 0.5 + 4.5 * random.unit()) {
      const double factor = 1u << random.below(3);
      for (std::uint32_t i = first; i < first + group; ++i)
        scenario.timetable.push_back({at, i, Action::kSlow, factor});
    }
  scenario.capacity = servers * (1 + 0.5 + 0.25) / 3;
  return scenario;
}

/// 2 requests a second for each server, which work 200 ms on each.
Scenario sparse(const char* key, const char* title, double slow, double seconds) {
  Scenario scenario = harder(key, title, 10 * seconds);
  scenario.work_ms = 200;
  scenario.rate = 16;
  scenario.equal = slow == 1;
  if (slow != 1) scenario.timetable = {{0, 0, Action::kSlow, slow}};
  return scenario;
}

/// Connections of a hundred requests, 20 ms from answer to request; two servers turn slow half way through those there.
Scenario hundreds(double seconds) {
  Scenario scenario = harder("long", "connections of a hundred requests, two of the servers turn 3x slow", seconds);
  scenario.session_requests = 100;
  scenario.busy_share = 1;
  scenario.rate = 0;
  scenario.session_rate = 0.5 * 8 * 1'000 / scenario.work_ms / scenario.session_requests;
  for (double at = 0.2 * seconds; at < seconds; at += 0.2 * seconds)
    for (const std::uint32_t server : {0u, 1u}) {
      scenario.timetable.push_back({at, server, Action::kSlow, 3});
      scenario.timetable.push_back({at + 0.1 * seconds, server, Action::kSlow, 1});
    }
  return scenario;
}

}  // namespace

void setLoad(Scenario& scenario, double load) {
  const double capacity = scenario.capacity > 0 ? scenario.capacity : scenario.servers;
  scenario.rate = load * capacity * scenario.workers * 1'000 / scenario.work_ms;
}

std::vector<Scenario> harderScenarios(double seconds) {
  std::vector<Scenario> all;
  all.push_back(varying("v0.5", 0.5, seconds));
  all.push_back(varying("v1", 1, seconds));
  all.push_back(varying("v2", 2, seconds));
  all.push_back(varying("v5", 5, seconds));
  all.push_back(shared("4x16", 4, seconds));
  all.push_back(shared("16x16", 16, seconds));
  all.push_back(sparse("sparse", "2 requests a second for each of 8 equal servers", 1, seconds));
  all.push_back(sparse("sparse5", "2 requests a second for each of 8 servers, one is 5x slow", 5, seconds));
  all.push_back(harder("slow3", "one of 8 servers is 3x slow", seconds));
  all.back().timetable = {{0, 0, Action::kSlow, 3}};
  all.back().capacity = 7 + 1.0 / 3;
  setLoad(all.back(), kUsualLoad);
  all.push_back(harder("two", "two classes of hardware: four servers are 2x slow", seconds));
  for (std::uint32_t i = 0; i < 4; ++i) all.back().timetable.push_back({0, i, Action::kSlow, 2});
  all.back().capacity = 6;
  setLoad(all.back(), kUsualLoad);
  all.push_back(harder("1.3", "two classes of hardware: four servers are 1.3x slow", seconds));
  for (std::uint32_t i = 0; i < 4; ++i) all.back().timetable.push_back({0, i, Action::kSlow, 1.3});
  all.back().capacity = 4 + 4 / 1.3;
  setLoad(all.back(), kUsualLoad);
  all.push_back(antagonist("ant", "8 servers, each at full, half or a quarter of its speed in turn", 8, 1, seconds));
  setLoad(all.back(), 0.5);
  all.push_back(antagonist("ant4", "the same of 16 servers in groups of four", 16, 4, seconds));
  setLoad(all.back(), 0.4);
  all.push_back(hundreds(seconds));
  all.push_back(harder("threads", "servers that work on 16 requests at once, one is 3x slow", seconds));
  all.back().workers = 16;
  all.back().work_ms = 50;
  all.back().timetable = {{0, 0, Action::kSlow, 3}};
  all.back().capacity = 7 + 1.0 / 3;
  setLoad(all.back(), 0.6);
  all.push_back(harder("wide", "equal servers that work on 16 requests at once", seconds));
  all.back().workers = 16;
  all.back().work_ms = 50;
  all.back().equal = true;
  setLoad(all.back(), kUsualLoad);
  return all;
}

}  // namespace lemonade::sim
