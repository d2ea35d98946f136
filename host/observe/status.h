// SPDX-License-Identifier: MIT
//
// The body of /api/v1/status: the balancer at one moment, for people and scripts. Collecting and writing are apart: the
// structs below are plain data, statusJson() knows how they look.
//
// Any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "balance/backend.h"
#include "base/clock.h"
#include "plugin/instance.h"

namespace lemonade {

/// Durations in milliseconds that a share of the samples does not exceed; 0 without samples.
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
  double exchange_rate = 0;  ///< exchanges a second, see ExchangeRates
  Percentiles connect_time;
  Percentiles exchange_time;
};

struct WorkerStatus {
  std::uint64_t sessions = 0;  ///< now
  std::uint64_t accepted = 0;  ///< ever
};

struct PluginStatus {
  std::string kind;  ///< the name of its row in plugin/kind.h: "metrics_sink"
  plugin::InstanceInfo info;
  std::string pool{};  ///< "" where it belongs to none
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
};

struct ListenerStatus {
  std::string name;
  std::string pool;
  std::vector<std::string> addresses;  ///< those really bound
  std::uint32_t max_connections = 0;
  std::uint64_t sessions = 0;  ///< now
  std::uint64_t accepted = 0;  ///< ever
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
  std::vector<ListenerStatus> listeners;
  std::vector<PoolStatus> pools;
  std::vector<WorkerStatus> workers;
  std::vector<PluginStatus> plugins;
  std::vector<BackendStatus> backends;
};

/// The JSON text, ending in a newline.
std::string statusJson(const StatusInput& status);

/// Parts of that, as documents of their own.
std::string backendsJson(const std::vector<BackendStatus>& backends);
std::string poolsJson(const std::vector<PoolStatus>& pools);
std::string pluginsJson(const std::vector<PluginStatus>& plugins);
/// The backend after a change, and what the change was.
std::string changeJson(const BackendStatus& backend, const ChangeStatus& change);

/// Exchanges a second since an earlier look, at least `window` ago where there is one that old, else since the process
/// began. Nothing ticks: looks are taken when rates are asked for. Any thread.
class ExchangeRates {
 public:
  ExchangeRates(Duration window, std::uint64_t started_ns) : window_(window), last_ns_(started_ns) {}

  /// The rate of one backend as the look before had it, without one.
  double last(std::uint64_t identity, std::uint64_t exchanges, std::uint64_t now_ns);

  class Look;
  /// Begins a look at now_ns of the monotonic clock; one at a time. What it does not see is forgotten when it ends.
  Look look(std::uint64_t now_ns);

 private:
  struct Past {
    std::uint64_t base_ns, base;  // the look that rates are counted from
    std::uint64_t next_ns, next;  // the one that takes its place when it is `window` old
  };

  const Duration window_;
  std::mutex mutex_;  // held by the look under way; guards what follows
  std::uint64_t last_ns_;
  std::unordered_map<std::uint64_t, Past> past_;  // by backend identity
};

class ExchangeRates::Look {
 public:
  ~Look();
  Look(const Look&) = delete;
  Look& operator=(const Look&) = delete;
  /// The rate of one backend whose total is now `exchanges`.
  double rate(std::uint64_t identity, std::uint64_t exchanges);

 private:
  friend class ExchangeRates;
  Look(ExchangeRates& rates, std::uint64_t now_ns);

  ExchangeRates& rates_;
  const std::unique_lock<std::mutex> lock_;
  const std::uint64_t previous_ns_;
  const std::uint64_t now_ns_;
  std::unordered_map<std::uint64_t, Past> seen_;
};

/// What status shows of each backend, now.
std::vector<BackendStatus> collectBackends(std::span<const std::shared_ptr<Backend>> backends, ExchangeRates& rates,
                                           std::uint64_t now_ns);

/// The same of one of them.
BackendStatus collectBackend(const Backend& backend, ExchangeRates& rates, std::uint64_t now_ns);

}  // namespace lemonade
