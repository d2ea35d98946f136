// SPDX-License-Identifier: MIT
//
// The names, help texts and labels of all families of the host but those of the sinks themselves.
#include "observe/families.h"

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace lemonade {

namespace {

using metrics::FamilyBuilder;
using metrics::SnapshotBuilder;

double real(std::uint64_t number) noexcept { return static_cast<double>(number); }

/// The families of backends: made once, then filled backend by backend, so that each sum is taken in one walk.
class BackendFamilies {
 public:
  explicit BackendFamilies(SnapshotBuilder& builder) : builder_(builder) {}

  void add(const Backend& backend) {
    const auto labels = builder_.labels({{"pool", backend.pool()},
                                         {"backend", backend.id()},
                                         {"name", backend.name()},
                                         {"address", backend.addressText()}});
    addState(backend, labels);
    addCounts(backend, labels);
    addTimes(backend, labels);
  }

 private:
  void addState(const Backend& backend, const metrics::LabelSet& labels) {
    up_.add(labels, backend.healthy() && backend.resolved());
    ejected_.add(labels, backend.ejected());
    degraded_.add(labels, backend.degraded());
    enabled_.add(labels, backend.enabled());
    draining_.add(labels, backend.draining());
    for (const auto& made : backend.overrides())
      override_.add(builder_.labels(labels, {{"action", nameOf(made.action)}}), 1);
    weight_.add(labels, backend.weight());
    max_connections_.add(labels, backend.maxConnections());
    active_.add(labels, backend.active());
    waiting_.add(labels, lemonade_load_u32(&backend.stats().waiting));
    quiet_.add(labels, lemonade_load_u32(&backend.stats().quiet));
  }

  void addCounts(const Backend& backend, const metrics::LabelSet& labels) {
    const auto total = [&](Counter BackendCounters::*counter) {
      std::uint64_t sum = 0;
      backend.forEachCounters([&](const BackendCounters& counters) { sum += (counters.*counter).value(); });
      return real(sum);
    };
    sessions_.add(labels, total(&BackendCounters::sessions));
    const std::pair<const char*, Counter BackendCounters::*> failures[] = {
        {"refused", &BackendCounters::connect_refused},
        {"timeout", &BackendCounters::connect_timeouts},
        {"error", &BackendCounters::connect_errors}};
    for (const auto& [reason, counter] : failures) {
      const auto with_reason = builder_.labels(labels, {{"reason", reason}});
      failures_.add(with_reason, total(counter));
      errors_.add(with_reason, total(counter));
    }
    resets_.add(labels, total(&BackendCounters::resets));
    errors_.add(builder_.labels(labels, {{"reason", "reset"}}), total(&BackendCounters::resets));
    early_closes_.add(labels, total(&BackendCounters::early_closes));
    errors_.add(builder_.labels(labels, {{"reason", "early_close"}}), total(&BackendCounters::early_closes));
    idle_timeouts_.add(labels, total(&BackendCounters::idle_timeouts));
    exchanges_.add(labels, total(&BackendCounters::exchanges));
    bytes_.add(builder_.labels(labels, {{"direction", "in"}}), total(&BackendCounters::bytes_in));
    bytes_.add(builder_.labels(labels, {{"direction", "out"}}), total(&BackendCounters::bytes_out));
  }

  void addTimes(const Backend& backend, const metrics::LabelSet& labels) {
    const auto addSamples = [&](FamilyBuilder& family, Histogram BackendCounters::*histogram) {
      Histogram::Sum sum;
      backend.forEachCounters([&](const BackendCounters& counters) { sum.add(counters.*histogram); });
      if (sum.count > 0) family.add(labels, sum);
    };
    addSamples(connect_time_, &BackendCounters::connect_time);
    addSamples(exchange_time_, &BackendCounters::exchange_time);
    addSamples(duration_, &BackendCounters::duration);
  }

  SnapshotBuilder& builder_;
  FamilyBuilder up_ = builder_.gauge("lemonade_backend_up", "1 where the last health checks passed, else 0.");
  FamilyBuilder ejected_ =
      builder_.gauge("lemonade_backend_ejected", "1 where it is out for a while because its sessions failed.");
  FamilyBuilder degraded_ =
      builder_.gauge("lemonade_backend_degraded", "1 where its health checks pass and say that it is unwell.");
  FamilyBuilder enabled_ =
      builder_.gauge("lemonade_backend_enabled", "1 unless the configuration or an operator has it disabled.");
  FamilyBuilder draining_ = builder_.gauge("lemonade_backend_draining", "1 where it takes no new sessions.");
  FamilyBuilder override_ =
      builder_.gauge("lemonade_backend_override", "1 while an operator has something of it overridden, by action.");
  FamilyBuilder weight_ = builder_.gauge("lemonade_backend_weight", "Its weight: configured, or overridden.");
  FamilyBuilder max_connections_ = builder_.gauge("lemonade_backend_max_connections",
                                                  "Its limit of sessions, configured or overridden; 0 means none.");
  FamilyBuilder active_ =
      builder_.gauge("lemonade_backend_active_sessions", "Sessions now, those still connecting included.");
  FamilyBuilder waiting_ =
      builder_.gauge("lemonade_backend_waiting_exchanges", "Exchanges whose answer has not begun.");
  FamilyBuilder quiet_ = builder_.gauge("lemonade_backend_quiet_sessions",
                                        "Sessions now that were answered and have asked nothing since.");
  FamilyBuilder sessions_ = builder_.counter("lemonade_backend_sessions_total", "Sessions connected.");
  FamilyBuilder failures_ =
      builder_.counter("lemonade_backend_connect_failures_total", "Connects to the backend that failed.");
  FamilyBuilder errors_ =
      builder_.counter("lemonade_backend_errors_total", "Connects and sessions that failed by the backend, by reason.");
  FamilyBuilder resets_ = builder_.counter("lemonade_backend_resets_total", "Sessions that the backend reset.");
  FamilyBuilder early_closes_ =
      builder_.counter("lemonade_backend_early_closes_total",
                       "Sessions that the backend closed before its first byte while the client waited.");
  FamilyBuilder idle_timeouts_ =
      builder_.counter("lemonade_backend_idle_timeouts_total", "Sessions closed by idle_timeout.");
  FamilyBuilder exchanges_ =
      builder_.counter("lemonade_backend_exchanges_total", "Exchanges: a request and the answer that follows it.");
  FamilyBuilder bytes_ =
      builder_.counter("lemonade_backend_bytes_total", "Bytes relayed: in from clients to the backend, out back.");
  FamilyBuilder connect_time_ =
      builder_.histogram("lemonade_backend_connect_seconds", "Time to connect to the backend.");
  FamilyBuilder exchange_time_ = builder_.histogram(
      "lemonade_backend_exchange_seconds", "Time from the last byte of a request to the first byte of its answer.");
  FamilyBuilder duration_ =
      builder_.histogram("lemonade_backend_session_duration_seconds", "How long sessions lasted.");
};

}  // namespace

void addProcess(SnapshotBuilder& builder, const ProcessFacts& facts) {
  builder.gauge("lemonade_build_info", "1, with the version of the balancer and of its plugin ABI as labels.")
      .add(builder.labels({{"version", facts.version}, {"abi", facts.abi}}), 1);
  builder.gauge("lemonade_start_time_seconds", "When the process started, in seconds since 1970.")
      .add(real(facts.started_unix_ns) / 1e9);
  builder.gauge("lemonade_uptime_seconds", "How long the process has run.").add(real(facts.uptime_ns) / 1e9);
  builder.gauge("lemonade_config_generation", "How many configurations took effect, the first one included.")
      .add(real(facts.config_generation));
  builder.counter("lemonade_config_reloads_total", "Reloads of the configuration, by result.")
      .add(builder.labels({{"result", "applied"}}), real(facts.reloads_applied))
      .add(builder.labels({{"result", "failed"}}), real(facts.reloads_failed));
  builder.gauge("lemonade_config_last_reload_success", "0 where the last reload failed, else 1.")
      .add(facts.last_reload_failed ? 0 : 1);
  builder
      .gauge("lemonade_config_last_reload_time_seconds", "When the last reload began, in seconds since 1970; 0: never.")
      .add(real(facts.last_reload_unix_ns) / 1e9);
  builder.gauge("lemonade_config_last_reload_duration_seconds", "How long the last reload took.")
      .add(real(facts.last_reload_duration_ns) / 1e9);
  builder.counter("lemonade_upgrades_total", "Upgrades of the process, by result.")
      .add(builder.labels({{"result", "completed"}}), real(facts.upgrades_completed))
      .add(builder.labels({{"result", "failed"}}), real(facts.upgrades_failed));
  builder
      .gauge("lemonade_draining_processes", "Processes before this one that still have sessions or are about to end.")
      .add(facts.draining_processes);
  builder.gauge("lemonade_draining_sessions", "Client connections that these processes have now.")
      .add(real(facts.draining_sessions));
  builder
      .gauge("lemonade_plugin_mapped_generations",
             "Images of plugins in memory, those of retired generations included.")
      .add(real(facts.mapped_generations));
  builder
      .counter("lemonade_log_lines_dropped_total",
               "Log lines dropped because the log could not keep up or memory was out.")
      .add(real(facts.log_dropped));
  builder.gauge("lemonade_last_upgrade_success", "0 where the last upgrade that was asked for failed, else 1.")
      .add(facts.last_upgrade_failed ? 0 : 1);
  builder.counter("lemonade_deaths_total", "Balancers that died and were started again, since the supervisor began.")
      .add(real(facts.deaths));
  builder.gauge("process_open_fds", "Open descriptors.").add(real(facts.open_descriptors));
  builder.gauge("process_max_fds", "How many descriptors may be open.").add(real(facts.max_descriptors));
  builder
      .gauge("lemonade_control_lag_seconds",
             "How late the control thread was at worst, of the last 30 to 60 seconds; what is late now counts.")
      .add(real(facts.control_lag_ns) / 1e9);
  auto lag = builder.gauge("lemonade_worker_lag_seconds",
                           "The longest turn of a worker in the last 30 to 60 seconds, in which all its clients "
                           "waited; one under way counts.");
  for (std::size_t i = 0; i < facts.worker_lags_ns.size(); ++i)
    lag.add(builder.labels({{"worker", std::to_string(i)}}), real(facts.worker_lags_ns[i]) / 1e9);
}

namespace {

template <class Counters>
using Reasons = std::pair<const char*, Counter Counters::*>;

constexpr Reasons<ListenerCounters> kListenerErrors[] = {
    {"no_backend", &ListenerCounters::no_backend},        {"connect_failed", &ListenerCounters::connect_failed},
    {"queue_timeout", &ListenerCounters::queue_timeouts}, {"reset", &ListenerCounters::backend_resets},
    {"early_close", &ListenerCounters::early_closes},     {"no_memory", &ListenerCounters::no_memory}};
constexpr Reasons<PoolCounters> kPoolErrors[] = {{"no_backend", &PoolCounters::no_backend},
                                                 {"connect_failed", &PoolCounters::connect_failed},
                                                 {"queue_timeout", &PoolCounters::queue_timeouts},
                                                 {"reset", &PoolCounters::backend_resets},
                                                 {"early_close", &PoolCounters::early_closes}};

template <class Counters>
void addErrors(SnapshotBuilder& builder, std::string_view name, const metrics::LabelSet& labels,
               const Counters& counters, std::span<const std::type_identity_t<Reasons<Counters>>> reasons) {
  auto errors = builder.counter(name, "Clients that failed by what is behind the balancer, by reason.");
  for (const auto& [reason, counter] : reasons)
    errors.add(builder.labels(labels, {{"reason", reason}}), real((counters.*counter).value()));
}

}  // namespace

void addListeners(SnapshotBuilder& builder, std::span<const ListenerFacts> listeners) {
  for (const auto& listener : listeners) {
    const auto labels = builder.labels({{"listener", listener.name}});
    const auto count = [&](std::string_view name, std::string_view help, Counter ListenerCounters::*counter) {
      builder.counter(name, help).add(labels, real((listener.counters.*counter).value()));
    };
    builder.gauge("lemonade_proxy_sessions", "Client connections now.")
        .add(labels, real(listener.counters.sessions.value()));
    builder.gauge("lemonade_proxy_max_connections", "Limit of client connections.")
        .add(labels, listener.max_connections);
    builder.gauge("lemonade_listener_configured_max_connections", "max_connections as configured.")
        .add(labels, listener.configured_max_connections);
    builder.counter("lemonade_listener_full_seconds_total", "How long max_connections was reached.")
        .add(labels, real(listener.counters.full_ns.value()) / 1e9);
    addErrors(builder, "lemonade_listener_errors_total", labels, listener.counters, kListenerErrors);
    count("lemonade_proxy_waited_total", "Client connections that had to wait because max_connections was reached.",
          &ListenerCounters::waited);
    count("lemonade_proxy_accepted_total", "Client connections accepted.", &ListenerCounters::accepted);
    count("lemonade_proxy_client_resets_total", "Sessions that the client reset.", &ListenerCounters::client_resets);
    count("lemonade_proxy_accept_errors_total", "Accepts that failed.", &ListenerCounters::accept_errors);
    count("lemonade_proxy_no_memory_total", "Client connections that ended for want of memory.",
          &ListenerCounters::no_memory);
    count("lemonade_proxy_drain_closed_total", "Sessions closed because the drain timeout was over.",
          &ListenerCounters::drain_closed);
    const auto refused = [&](const char* reason, Counter ListenerCounters::*counter) {
      builder.counter("lemonade_proxy_header_refused_total", "Clients refused for want of a PROXY header, by reason.")
          .add(builder.labels({{"listener", listener.name}, {"reason", reason}}),
               real((listener.counters.*counter).value()));
    };
    refused("untrusted", &ListenerCounters::header_untrusted);
    refused("malformed", &ListenerCounters::header_malformed);
    refused("timeout", &ListenerCounters::header_timeouts);
    refused("closed", &ListenerCounters::header_closed);
  }
}

namespace {

void addTraffic(SnapshotBuilder& builder, const PoolFacts& pool, const metrics::LabelSet& labels) {
  const auto value = [&](Counter PoolCounters::*counter) { return real((pool.counters.*counter).value()); };
  const auto count = [&](std::string_view name, std::string_view help, Counter PoolCounters::*counter) {
    builder.counter(name, help).add(labels, value(counter));
  };
  builder.gauge("lemonade_proxy_queued_sessions", "Client connections that wait for a place at a backend.")
      .add(labels, value(&PoolCounters::queued));
  count("lemonade_proxy_queued_total", "Client connections that had to wait for a place at a backend.",
        &PoolCounters::queued_total);
  auto unserved =
      builder.counter("lemonade_proxy_unserved_total", "Client connections that ended without a backend, by reason.");
  const auto because = [&](std::string_view reason, Counter PoolCounters::*counter) {
    unserved.add(builder.labels(labels, {{"reason", reason}}), value(counter));
  };
  because("no_backend", &PoolCounters::no_backend);
  because("connect_failed", &PoolCounters::connect_failed);
  because("queue_timeout", &PoolCounters::queue_timeouts);
  because("rejected", &PoolCounters::strategy_rejected);
  because("abandoned", &PoolCounters::abandoned);
  count("lemonade_proxy_retries_total", "Connects that followed one that failed.", &PoolCounters::retries);
  count("lemonade_proxy_invalid_picks_total", "Answers of the strategy that the host could not use.",
        &PoolCounters::invalid_picks);
  count("lemonade_proxy_slow_picks_total", "Picks of the strategy that took over 100 ms.", &PoolCounters::slow_picks);
  count("lemonade_proxy_descriptor_waits_total", "Connects put off for want of descriptors.",
        &PoolCounters::descriptor_waits);
  count("lemonade_proxy_port_waits_total", "Connects put off for want of source ports.", &PoolCounters::port_waits);
}

void addPicks(SnapshotBuilder& builder, const PoolFacts& pool) {
  if (pool.strategy.empty()) return;
  const auto labels = builder.labels({{"pool", pool.name}, {"plugin", pool.strategy}});
  builder.counter("lemonade_pool_timed_picks_total", "Picks of the strategy that were timed: one in 64.")
      .add(labels, real(pool.counters.picks_timed.value()));
  builder.counter("lemonade_pool_timed_pick_seconds_total", "How long these took.")
      .add(labels, real(pool.counters.pick_ns.value()) / 1e9);
  builder
      .gauge("lemonade_pool_slowest_pick_seconds",
             "The longest pick of the last 30 to 60 seconds, of those that were timed or took over 20 ms.")
      .add(labels, real(pool.slowest_pick_ns) / 1e9);
}

void addWork(SnapshotBuilder& builder, const PoolFacts& pool, const metrics::LabelSet& labels) {
  builder.counter("lemonade_pool_clients_total", "Client connections that were given the pool.")
      .add(labels, real(pool.counters.clients.value()));
  addErrors(builder, "lemonade_pool_errors_total", labels, pool.counters, kPoolErrors);
  builder
      .counter("lemonade_pool_full_seconds_total",
               "How long every backend that may be picked was at its max_connections.")
      .add(labels, real(pool.counters.full_ns.value()) / 1e9);
  auto parted = builder.counter("lemonade_pool_quiet_closed_total", "Quiet sessions that were closed, by reason.");
  parted.add(builder.labels(labels, {{"reason", "rebalance"}}), real(pool.counters.parted_rebalance.value()));
  parted.add(builder.labels(labels, {{"reason", "max_age"}}), real(pool.counters.parted_max_age.value()));
  builder
      .counter("lemonade_pool_quiet_crossed_total",
               "Quiet sessions that were closed while their client was sending something, which no backend got.")
      .add(labels, real(pool.counters.parted_crossed.value()));
  builder.histogram("lemonade_pool_queue_seconds", "How long client connections that queued waited for a place.")
      .add(labels, pool.counters.queue_time.sum());
  addPicks(builder, pool);
}

void addHealth(SnapshotBuilder& builder, const PoolFacts& pool, const metrics::LabelSet& labels) {
  builder.counter("lemonade_health_checks_total", "Health checks that ended.").add(labels, real(pool.health_checks));
  builder.counter("lemonade_health_check_failures_total", "Health checks that failed.")
      .add(labels, real(pool.health_failures));
  builder
      .counter("lemonade_health_checker_errors_total",
               "Health checks that came to nothing because the checker itself failed.")
      .add(labels, real(pool.checker_errors));
  builder.gauge("lemonade_health_checks_enabled", "1 where backends are checked, 0 where health.checker is \"none\".")
      .add(labels, pool.checks ? 1 : 0);
  builder
      .gauge("lemonade_health_checker_broken",
             "1 where a call of the health checker was broken off, and connecting is the check in its place.")
      .add(labels, pool.checker_is_broken ? 1 : 0);
  builder.counter("lemonade_health_ejections_total", "Backends taken out for a while because their sessions failed.")
      .add(labels, real(pool.ejections));
}

}  // namespace

void addPools(SnapshotBuilder& builder, std::span<const PoolFacts> pools) {
  for (const auto& pool : pools) {
    const auto labels = builder.labels({{"pool", pool.name}});
    addTraffic(builder, pool, labels);
    addWork(builder, pool, labels);
    addHealth(builder, pool, labels);
  }
}

void addBackends(SnapshotBuilder& builder, std::span<const std::shared_ptr<Backend>> backends) {
  BackendFamilies families(builder);
  for (const auto& backend : backends) families.add(*backend);
}

void addContainment(SnapshotBuilder& builder, const ContainmentFacts& facts) {
  auto faults =
      builder.counter("lemonade_plugin_faults_total", "Calls of plugins that were broken off, by function and why.");
  for (const auto& calls : facts.faults)
    faults.add(builder.labels({{"plugin", calls.plugin}, {"function", calls.function}, {"kind", calls.kind}}),
               real(calls.count));
  auto slow = builder.counter("lemonade_plugin_slow_calls_total",
                              "Calls of plugins that took over 100 ms, counted while they run.");
  for (const auto& calls : facts.slow_calls)
    slow.add(builder.labels({{"plugin", calls.plugin}, {"function", calls.function}}), real(calls.count));
  auto quarantined = builder.gauge("lemonade_plugin_quarantined",
                                   "1 for a plugin that is not used for what it has done, and that something stands in "
                                   "for.");
  for (const auto& [plugin, version] : facts.quarantined)
    quarantined.add(builder.labels({{"plugin", plugin}, {"version", version}}), 1);
}

void addPluginMetrics(SnapshotBuilder& builder, const plugin::MetricCells& cells) {
  cells.forEach([&](const plugin::MetricCells::Metric& metric) {
    builder.family(metric.type, "lemonade_plugin_" + metric.name, metric.help)
        .add(builder.labels({{"plugin", metric.plugin}}), static_cast<double>(metric.value()));
  });
}

}  // namespace lemonade
