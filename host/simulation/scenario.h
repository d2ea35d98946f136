// SPDX-License-Identifier: MIT
//
// What happens in a run, told in plain values: how many of what, which clients come when, which server does what when.
// The eight scenarios of tools/benchmarks/scenarios, and larger ones that real sockets cannot have.
#pragma once

#include "health/outliers.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace lemonade::sim {

enum class Action {
  kSlow,   ///< work takes factor times as long
  kHang,   ///< accepts and answers nothing any more
  kReset,  ///< resets that share `factor` of new connections after 1 ms, 1 or more is all
  kDown,   ///< resets its connections, forgets its work and refuses
  kUp,     ///< does none of hang, reset, down
};

struct Step {
  double at;  ///< seconds from the start
  std::uint32_t server;
  Action action;
  double factor = 1;  ///< of kSlow and kReset
};

struct Scenario {
  std::string key;
  std::string title;
  std::uint32_t servers = 8;
  std::uint32_t balancers = 1;
  double seconds = 60;
  double measure_from = 0;    ///< seconds; requests due earlier are not counted
  double rate = 1'000;        ///< requests a second, over all balancers; Poisson
  double capacity = 0;        ///< in healthy servers, on average; 0: `servers`
  double work_ms = 5;         ///< mean work of a request at a healthy server
  double work_variation = 0;  ///< lognormal work of this coefficient of variation; 0: exponential, where it is 1
  std::uint32_t workers = 1;  ///< of each server: so many requests at once
  bool equal = false;         ///< all servers are alike all the time
  double probe_ms = 0.05;     ///< what a probe costs its server, where a contender sends any
  double crowd_from = 0;      ///< seconds: from here
  double crowd_to = 0;        ///< to here
  double crowd_factor = 1;    ///< so many times the rate
  double session_rate = 0;    ///< long sessions a second, 1 s and 5 s more on average
  std::uint32_t session_requests = 0;  ///< long sessions end after so many instead
  double busy_share = 0.25;            ///< of them: 20 ms from answer to request on average, the others 500 ms
  bool checks = true;                  ///< the servers are checked every 2 s, fall 3, rise 2
  double slow_start = 10;              ///< seconds
  std::vector<std::uint32_t> weights;  ///< of the servers; empty: all 1
  std::vector<std::string> zones;      ///< of the servers; empty: none is known
  std::vector<std::string> own_zones;  ///< of the balancers; as many, where servers have zones
  health::OutlierSettings outliers;    ///< of the balancers
  std::vector<Step> timetable;
  std::map<std::string, std::string> options;  ///< of the strategy: numbers, true and false, and strings
};

/// Scenarios a to h: one slow, hanging, resetting, recovering; unequal capacities; long sessions; flapping; a crowd.
std::vector<Scenario> standardScenarios(double seconds = 60);
/// What is harder: work that varies more or less, capacity that changes under the balancer, hardware of two classes,
/// many balancers, sparse traffic, connections of a hundred requests. No server fails.
std::vector<Scenario> harderScenarios(double seconds = 60);
/// One or some of eight equal servers are slow or fail a share of their connections, for good, in turn or together.
std::vector<Scenario> outlierScenarios(double seconds = 60);
/// All lists, one after the other.
std::vector<Scenario> shippedScenarios(double seconds = 60);
/// The scenario of any list with this key. Throws std::out_of_range where there is none.
Scenario scenarioOf(const std::string& key, double seconds = 60);
/// Sets the rate to this share of what the servers can do on average, given what the scenario does to them.
void setLoad(Scenario& scenario, double load);
/// Balancers that share nothing before servers that they share, at 60 % of their capacity.
Scenario manyBalancers(std::uint32_t balancers, std::uint32_t servers, double seconds);
/// One balancer and servers at 60 % of their capacity.
Scenario plain(std::uint32_t servers, double seconds);

}  // namespace lemonade::sim
