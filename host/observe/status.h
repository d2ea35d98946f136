// SPDX-License-Identifier: MIT
//
// The body of /api/v1/status: the balancer at one moment, for people and scripts. Collecting and writing are apart: the
// structs below are plain data, statusJson() knows how they look.
//
// Any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "balance/backend.h"
#include "balance/histogram.h"
#include "observe/comparison.h"
#include "observe/forwarding.h"
#include "observe/recent.h"
#include "plugin/instance.h"

namespace lemonade {

/// Durations in milliseconds that a share of the samples of the last minute does not exceed; 0 without samples.
struct Percentiles {
  std::uint64_t samples = 0;
  double p50 = 0;
  double p95 = 0;
  double p99 = 0;
};

/// What an operator has overridden of a backend.
struct OverrideStatus {
  Override made;
  std::uint32_t configured = 0;  ///< what is configured in its place, of an action with a value
};

/// How much slower a backend is than the others of its pool.
struct Slowness {
  double others_ms = 0;  ///< what half of their answers take
  double times = 0;
};

struct BackendStatus {
  std::string pool;
  config::Backend settings;  ///< in force; of a service with what its record says
  std::vector<OverrideStatus> overrides{};
  std::string address;
  std::string state;                ///< the first that holds: "unresolved", "disabled", "draining", "down", "up"
  std::string reason;               ///< of the health it has, a few words
  std::uint64_t since_unix_ns = 0;  ///< when its health last changed, 0 for never
  bool healthy = true;              ///< observed, whatever the state
  std::uint32_t active = 0;
  std::uint32_t waiting = 0;
  std::uint64_t sessions = 0;
  std::uint64_t connect_refused = 0;
  std::uint64_t connect_timeouts = 0;
  std::uint64_t connect_errors = 0;
  std::uint64_t resets = 0;
  std::uint64_t idle_timeouts = 0;
  std::uint64_t exchanges = 0;
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  Rates rates;  ///< its clients are the connects that were tried
  Percentiles connect_time;
  Percentiles exchange_time;
  std::optional<Slowness> slow{};  ///< nothing: it is not, or nobody has judged
};

struct WorkerStatus {
  std::uint64_t sessions = 0;  ///< now
  std::uint64_t accepted = 0;  ///< ever
  double lag_ms = 0;           ///< the worst of late, see Lag
};

struct PluginStatus {
  std::string kind;  ///< the name of its row in plugin/kind.h: "metrics_sink"
  plugin::InstanceInfo info;
  std::string pool{};  ///< "" where it belongs to none
  /// "running"; "stands_in": for one that is quarantined; "broken": it is that one, and is not called any more.
  std::string state = "running";
};

/// A plugin that is not used any more for what it has done.
struct QuarantineStatus {
  plugin::InstanceInfo info;
  std::string function;
  std::string reason;
  std::uint64_t since_unix_ns = 0;
};

/// A call of a plugin that is under way for longer than it should.
struct SlowCallStatus {
  plugin::InstanceInfo info;
  std::string function;
  std::string thread;
  double seconds = 0;
};

/// How quiet sessions of a pool are closed.
struct RebalanceStatus {
  bool quiet = false;            ///< where backends have far too many
  std::string state;             ///< "even", "moving" or "resting"
  std::uint64_t max_age_ns = 0;  ///< and those older than that; 0: none is
  std::uint64_t closed = 0;      ///< to even out, ever
  std::uint64_t aged = 0;        ///< for their age
  std::uint64_t crossed = 0;     ///< of both, those whose client had sent something before it saw that
};

struct PoolStatus {
  std::string name;
  bool ready = false;  ///< it has an eligible backend
  std::string strategy;
  std::string checker;  ///< "none" where its backends are not checked
  std::uint64_t backends = 0;
  std::uint64_t eligible = 0;
  std::uint64_t sessions = 0;  ///< now
  std::uint64_t queued = 0;    ///< of these, those that wait for a place at a backend
  Rates rates{};
  Percentiles exchange_time{};  ///< of all its backends
  Percentiles queue_time{};
  double mean_pick_ms = 0;   ///< of all that were timed
  double worst_pick_ms = 0;  ///< of late
  std::optional<ShadowStatus> shadow{};
  std::optional<RebalanceStatus> rebalance{};  ///< none: sessions are not closed for being quiet
};

struct ListenerStatus {
  std::string name;
  std::string pool;
  std::vector<std::string> addresses;  ///< those really bound
  std::uint32_t max_connections = 0;
  std::uint64_t sessions = 0;  ///< now
  std::uint64_t accepted = 0;  ///< ever
  std::uint32_t configured_max_connections = 0;
  Rates rates{};
  /// Who carries the bytes; "source" is nothing for a relay.
  std::string forward = "relay";
  std::string source{};
};

struct ReloadStatus {
  std::string result;         ///< "applied", "unchanged", "failed"
  std::string reason;         ///< what asked for it
  std::uint64_t unix_ns = 0;  ///< when it began
  std::uint64_t duration_ns = 0;
  std::uint64_t generation = 0;    ///< of the configuration that runs since
  std::vector<std::string> lines;  ///< the differences, or what is wrong
};

/// What came of an order to change something of a backend.
struct ChangeStatus {
  std::optional<OverrideStatus> made;  ///< none where overrides were taken back
  std::uint64_t taken_back = 0;        ///< how many
  std::string text;                    ///< what is so now and until when, for people
  std::string persist_line;            ///< what to write into the file for it to last; "": nobody asked
  std::string persist_place;           ///< where
};

/// What the process that started this one does for it.
struct SupervisorStatus {
  std::int64_t pid = 0;
  std::uint64_t failed_upgrades = 0;  ///< since this process began
  std::string last_failure;           ///< why the last of them failed
  std::uint64_t deaths = 0;           ///< of processes before this one, since the supervisor began
  std::string last_death;             ///< how the last of them died
};

struct StatusInput {
  std::string version;
  std::string abi;  ///< "1.0"
  std::uint64_t uptime_ns = 0;
  std::int64_t pid = 0;
  std::optional<SupervisorStatus> supervisor;  ///< none: null
  std::string state;  ///< "running"; "stopping" while clients are still accepted; then "draining"
  std::uint64_t config_generation = 1;
  std::string config_file;                  ///< "" where the environment alone configures
  std::optional<ReloadStatus> last_reload;  ///< none yet: null
  std::uint32_t max_connections = 0;
  double control_lag_ms = 0;           ///< of the control thread, as that of a worker
  std::uint64_t open_descriptors = 0;  ///< of the process
  std::uint64_t max_descriptors = 0;
  std::optional<ForwardingStatus> forwarding{};  ///< none: null
  std::vector<ListenerStatus> listeners;
  std::vector<PoolStatus> pools;
  std::vector<WorkerStatus> workers;
  std::vector<PluginStatus> plugins;
  std::vector<QuarantineStatus> quarantined{};
  std::vector<SlowCallStatus> slow_calls{};
  std::vector<BackendStatus> backends;
};

/// The JSON text, ending in a newline.
std::string statusJson(const StatusInput& status);

/// Parts of that, as documents of their own.
std::string backendsJson(const std::vector<BackendStatus>& backends);
std::string poolsJson(const std::vector<PoolStatus>& pools);
std::string pluginsJson(const std::vector<PluginStatus>& plugins, const std::vector<QuarantineStatus>& quarantined);
/// The backend after a change, and what the change was.
std::string changeJson(const BackendStatus& backend, const ChangeStatus& change);

/// What status shows of each backend, now. Gives pools, where they are there by name, what they have of all of their
/// backends: the rate of exchanges, and how long they took.
std::vector<BackendStatus> collectBackends(std::span<const std::shared_ptr<Backend>> backends, const Recent& recent,
                                           std::uint64_t now_ns, std::span<PoolStatus> pools = {});

/// The same of one of them.
BackendStatus collectBackend(const Backend& backend, const Recent& recent, std::uint64_t now_ns);

/// The same with what the pool has counted of it.
std::optional<RebalanceStatus> withCounted(std::optional<RebalanceStatus> status, const PoolCounters& counters);

Percentiles percentilesOf(const Histogram::Sum& samples) noexcept;

}  // namespace lemonade
