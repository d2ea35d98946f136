// SPDX-License-Identifier: MIT
//
// What the balancer publishes: turns counters into families of a metrics snapshot. docs/metrics.md describes each
// family, and a test holds the two together.
//
// Any thread, several at once: everything read here is atomic or constant.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "balance/backend.h"
#include "balance/counters.h"
#include "metrics/snapshot.h"
#include "plugin/metric_cells.h"

namespace lemonade {

/// The process as a whole, at one moment.
struct ProcessFacts {
  std::string version;
  std::string abi;                    ///< "1.0"
  std::uint64_t started_unix_ns = 0;  ///< wall clock
  std::uint64_t uptime_ns = 0;
  std::uint64_t config_generation = 1;  ///< counts the configurations that took effect, from 1
  std::uint64_t reloads_applied = 0;
  std::uint64_t reloads_failed = 0;
  bool last_reload_failed = false;
  std::uint64_t last_reload_unix_ns = 0;  ///< 0: none yet
  std::uint64_t last_reload_duration_ns = 0;
  std::uint64_t mapped_generations = 0;  ///< plugin::Image::mapped()
  std::uint64_t upgrades_completed = 0;
  std::uint64_t upgrades_failed = 0;
  std::uint32_t draining_processes = 0;  ///< before this one
  std::uint64_t draining_sessions = 0;   ///< which these have
  std::uint64_t log_dropped = 0;         ///< log::dropped()
  bool last_upgrade_failed = false;
  std::uint64_t deaths = 0;  ///< of processes before this one, since their supervisor began
  std::uint64_t open_descriptors = 0;
  std::uint64_t max_descriptors = 0;
  std::uint64_t control_lag_ns = 0;                ///< the worst of late, see Lag
  std::vector<std::uint64_t> worker_lags_ns = {};  ///< of each worker that serves
};

/// A pool, at one moment. What it refers to must outlive the call that it is given to.
struct PoolFacts {
  std::string_view name;
  const PoolCounters& counters;       ///< of all workers
  bool checks = true;                 ///< its backends are checked
  std::uint64_t health_checks = 0;    ///< checks that ended
  std::uint64_t health_failures = 0;  ///< of these, how many failed
  std::uint64_t checker_errors = 0;   ///< checks that came to nothing because the checker itself failed
  std::uint64_t ejections = 0;        ///< backends taken out because their sessions failed
  std::string_view strategy = {};     ///< its id; empty: it has none any more
  std::uint64_t slowest_pick_ns = 0;  ///< of late
  bool checker_is_broken = false;     ///< it is called no more, and backends are checked by connecting
};

/// A listener, at one moment; as above.
struct ListenerFacts {
  std::string_view name;
  const ListenerCounters& counters;  ///< of all workers
  std::uint32_t max_connections = 0;
  std::uint32_t configured_max_connections = 0;
  bool by_kernel = false;  ///< which forwards for it
};

void addProcess(metrics::SnapshotBuilder& builder, const ProcessFacts& facts);

/// One series of each family for each of them. Names are unique.
void addListeners(metrics::SnapshotBuilder& builder, std::span<const ListenerFacts> listeners);
void addPools(metrics::SnapshotBuilder& builder, std::span<const PoolFacts> pools);

/// Histograms without a sample are left out: most of the backends of a large, quiet pool have none.
void addBackends(metrics::SnapshotBuilder& builder, std::span<const std::shared_ptr<Backend>> backends);

/// What has become of calls of plugins, at one moment.
struct ContainmentFacts {
  struct Calls {
    std::string plugin;  ///< its id
    std::string function;
    std::string kind;  ///< why they were broken off
    std::uint64_t count = 0;
  };
  std::vector<Calls> faults;                                     ///< calls that were broken off
  std::vector<Calls> slow_calls;                                 ///< calls that took over 100 ms, without a kind
  std::vector<std::pair<std::string, std::string>> quarantined;  ///< ids and versions
};

void addContainment(metrics::SnapshotBuilder& builder, const ContainmentFacts& facts);

/// The numbers that plugins registered, as lemonade_plugin_<name>{plugin="<id>"}.
void addPluginMetrics(metrics::SnapshotBuilder& builder, const plugin::MetricCells& cells);

}  // namespace lemonade
