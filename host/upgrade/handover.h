// SPDX-License-Identifier: MIT
//
// What a balancer hands over to the process that takes its place at an upgrade: what it has counted and what it has
// found out. Plain data, and its text, JSON with a name of its format. Times are monotonic nanoseconds, which processes
// of one machine share, unless they say unix.
//
// A later version may add fields: those that are missing are as they are by default, those that are unknown are passed
// over. What changes the meaning of a field changes the name of the format.
#pragma once

#include "balance/backend.h"
#include "balance/counters.h"
#include "balance/resolution.h"
#include "balance/strategy.h"
#include "base/result.h"
#include "health/ejector.h"
#include "metrics/sink.h"

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lemonade {

/// What is known of one backend.
struct BackendState {
  std::uint64_t identity = 0;

  // By its checks
  bool checked = false;
  bool healthy = true;
  bool degraded = false;
  std::string reason{};
  std::uint64_t since_unix_ns = 0;

  // By its sessions, see lemonade_backend_stats_t and Backend
  double connect_ewma_ns = 0;
  double exchange_ewma_ns = 0;
  float error_rate = 0;
  std::uint32_t fail_streak = 0;
  std::uint32_t doubts = 0;
  std::uint32_t last_failure = 0;
  std::uint32_t picks = 0;
  std::uint64_t failed_at_ns = 0;
  std::uint64_t sampled_at_ns = 0;
  std::uint64_t connect_sampled_ns = 0;
  std::uint64_t exchange_sampled_ns = 0;
  lemonade_backend_speed_t speed{};
  health::Ejector::Standing standing{};
  std::uint64_t ramp_began_ns = 0;  ///< 0: no slow start is under way

  /// Of this and of all processes before it.
  std::unique_ptr<BackendCounters> totals = std::make_unique<BackendCounters>();
};

/// What one listener has counted, in all workers.
struct ListenerTotals {
  std::string name{};
  ListenerCounters counters{};
};

/// What one pool has counted, in all workers, and of the checks of its backends.
struct PoolTotals {
  std::string name{};
  PoolCounters counters{};
  Counter checks{};
  Counter check_failures{};
  Counter checker_errors{};
  Counter ejections{};
};

/// What all listeners and all pools have counted.
struct ProxyTotals {
  ListenerCounters listeners;
  PoolCounters pools;
};

/// Calls of one function of a plugin that came to the same.
struct CallTotal {
  std::string plugin{};    ///< its id
  std::string function{};  ///< by name, as the next: another version may know others
  std::string kind{};      ///< why they were broken off; "" of slow ones
  Counter count{};
};

/// What is counted in this process and in all processes before it. `sessions` and `queued`, which are no totals, are of
/// this process.
struct ProcessTotals {
  std::list<ListenerTotals> listeners;
  std::list<PoolTotals> pools;

  // The sums of these, which a process of version 0.2.0 hands over and reads in their place.
  ProxyTotals proxy;
  Counter checks;
  Counter check_failures;
  Counter checker_errors;
  Counter ejections;

  Counter log_dropped;
  Counter reloads_applied;
  Counter reloads_failed;
  Counter generations;  ///< of the configuration
  Counter upgrades;     ///< that were completed
  Counter upgrades_failed;
  Counter event_losses;  ///< of conntrack

  std::list<CallTotal> plugin_faults;  ///< calls that were broken off
  std::list<CallTotal> slow_calls;
};

/// The one of this name, which is added where there is none.
ListenerTotals& totalsOf(std::list<ListenerTotals>& listeners, const std::string& name);
PoolTotals& totalsOf(std::list<PoolTotals>& pools, const std::string& name);
/// Adds so many to those calls.
void addCalls(std::list<CallTotal>& calls, const std::string& plugin, const std::string& function,
              const std::string& kind, std::uint64_t count);
/// Null where there is none.
const ListenerTotals* findTotals(const std::list<ListenerTotals>& listeners, const std::string& name);
const PoolTotals* findTotals(const std::list<PoolTotals>& pools, const std::string& name);
/// Makes the sums of totals those of its listeners and pools.
void addUp(ProcessTotals& totals);

/// The names of all that are one number.
constexpr std::pair<const char*, Counter ProcessTotals::*> kProcessTotals[] = {
    {"checks", &ProcessTotals::checks},
    {"check_failures", &ProcessTotals::check_failures},
    {"checker_errors", &ProcessTotals::checker_errors},
    {"ejections", &ProcessTotals::ejections},
    {"log_dropped", &ProcessTotals::log_dropped},
    {"reloads_applied", &ProcessTotals::reloads_applied},
    {"reloads_failed", &ProcessTotals::reloads_failed},
    {"generations", &ProcessTotals::generations},
    {"upgrades", &ProcessTotals::upgrades},
    {"upgrades_failed", &ProcessTotals::upgrades_failed},
    {"event_losses", &ProcessTotals::event_losses},
};

/// A counter of a plugin.
struct PluginTotal {
  std::string plugin{};
  std::string name{};
  std::int64_t value = 0;
};

/// What was lost at a sink.
struct SinkTotal {
  std::string sink{};
  metrics::SinkLosses losses{};
};

/// What a configured name leads to.
struct KnownName {
  std::string name{};
  std::vector<Target> targets{};
};

/// What the strategy of a pool hands over.
struct StrategyState {
  std::string pool{};
  std::string strategy{};  ///< its id
  std::optional<Strategy::State> state{};
};

/// What an operator has changed of a backend; see Override.
struct OverrideState {
  std::string pool{};
  std::string backend{};  ///< its id
  std::string address{};
  std::uint64_t identity = 0;
  std::uint32_t action = 0;  ///< an Override::Action
  std::uint32_t value = 0;
  std::uint64_t since_unix_ns = 0;
  std::uint64_t until_unix_ns = 0;
  std::uint64_t until_ns = 0;  ///< 0: with the next reload of the file
  std::string by{};
};

/// A content of a plugin that is not to be used; see app/quarantine.h.
struct QuarantineState {
  std::string plugin{};  ///< its id
  std::string version{};
  std::string file{};
  std::string hash{};
  std::uint64_t generation = 0;
  std::string function{};
  std::string reason{};
  std::uint64_t since_unix_ns = 0;
};

/// One of the timeline; see observe/events.h.
struct EventState {
  std::string kind{};  ///< by name
  std::string text{};
  std::string pool{};
  std::string backend{};
  std::vector<std::pair<std::string, std::string>> fields{};
  std::uint64_t sequence = 0;
  std::uint64_t unix_ns = 0;
};

/// The numbers that a process has given its events.
struct EventSpan {
  std::uint64_t before = 0;
  std::uint64_t newest = 0;
};

struct Handover {
  /// Clients and requests may still come to the one that hands over.
  bool accepting = true;
  std::uint32_t processes = 1;  ///< that end: it and those before it which still do
  std::uint64_t sessions = 0;   ///< which these still have
  ProcessTotals totals{};
  std::vector<PluginTotal> plugin_totals{};
  std::vector<SinkTotal> sink_totals{};
  std::vector<BackendState> backends{};
  std::vector<KnownName> names{};
  std::vector<StrategyState> strategies{};  ///< of each pool
  std::vector<OverrideState> overrides{};
  std::vector<QuarantineState> quarantined{};
  std::vector<EventState> events{};  ///< the oldest first
  std::vector<EventSpan> event_spans{};

  // That of the default pool, which a process of version 0.2.0 hands over and reads in their place.
  std::string strategy{};  ///< its id
  std::optional<Strategy::State> strategy_state{};
};

/// handover is not changed.
std::string encode(Handover& handover);

/// Fails, saying what is wrong, where the text is no handover or one of another format.
Result<std::unique_ptr<Handover>> decode(std::string_view text);

}  // namespace lemonade
