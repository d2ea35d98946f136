// SPDX-License-Identifier: MIT
//
// Collecting backends for status, and the layout of its JSON.
#include "observe/status.h"

#include "base/log_line.h"
#include "observe/json_writer.h"
#include "observe/reloads.h"
#include "observe/shadows.h"
#include "observe/slowness.h"

#include <string_view>
#include <unordered_map>
#include <utility>

namespace lemonade {

namespace {

// What a status takes at least: text that has to grow is moved each time.
constexpr std::size_t kBytesOfProcess = 16'384;
constexpr std::size_t kBytesOfBackend = 1'024;

void setPercentiles(Json& json, std::string_view name, const Percentiles& percentiles) {
  json.object(name, [&] {
    json.set("samples", percentiles.samples);
    json.set("p50", percentiles.p50);
    json.set("p95", percentiles.p95);
    json.set("p99", percentiles.p99);
  });
}

void setErrorRates(Json& json, const Rates& rates) {
  json.set("error_rate", rates.errors);
  json.set("error_share", rates.error_share);
  json.set("fails", rates.error_share >= kManyErrors);
}

void setRates(Json& json, const Rates& rates) {
  json.set("exchange_rate", rates.exchanges);
  setErrorRates(json, rates);
}

void setTotals(Json& json, const BackendStatus& backend) {
  json.object("totals", [&] {
    json.set("sessions", backend.sessions);
    json.object("connect_failures", [&] {
      json.set("refused", backend.connect_refused);
      json.set("timeout", backend.connect_timeouts);
      json.set("error", backend.connect_errors);
    });
    json.set("resets", backend.resets);
    json.set("idle_timeouts", backend.idle_timeouts);
    json.set("exchanges", backend.exchanges);
    json.set("bytes_in", backend.bytes_in);
    json.set("bytes_out", backend.bytes_out);
  });
}

void setMembers(Json& json, const OverrideStatus& one) {
  setText(json, "action", nameOf(one.made.action));
  if (hasValue(one.made.action)) {
    json.set("value", one.made.value);
    json.set("configured", one.configured);
  } else {
    json.setNull("value");
  }
  setTime(json, "since", one.made.since_unix_ns);
  one.made.until_unix_ns == 0 ? setText(json, "until", "reload") : setTime(json, "until", one.made.until_unix_ns);
  setText(json, "by", log::validUtf8(one.made.by));
}

void setSlowness(Json& json, const std::optional<Slowness>& slow) {
  if (!slow) return json.setNull("slow");
  json.object("slow", [&] {
    json.set("others_ms", slow->others_ms);
    json.set("times", slow->times);
  });
}

void setMembers(Json& json, const BackendStatus& backend) {
  setText(json, "pool", backend.pool);
  setText(json, "id", backend.settings.id);
  setText(json, "name", backend.settings.name);
  setText(json, "address", backend.address);
  setText(json, "state", backend.state);
  setText(json, "reason", log::validUtf8(backend.reason));  // a plugin's
  setTime(json, "since", backend.since_unix_ns);
  json.set("healthy", backend.healthy);
  json.set("weight", backend.settings.weight);
  json.set("priority", backend.settings.priority);
  json.set("max_connections", backend.settings.max_connections);
  json.set("active", backend.active);
  json.set("waiting", backend.waiting);
  setTotals(json, backend);
  json.set("connect_rate", backend.rates.clients);
  setRates(json, backend.rates);
  setPercentiles(json, "connect_ms", backend.connect_time);
  setPercentiles(json, "exchange_ms", backend.exchange_time);
  setSlowness(json, backend.slow);
  json.array("overrides", backend.overrides,
             [&](const OverrideStatus& one) { json.object([&] { setMembers(json, one); }); });
}

void add(Json& json, const BackendStatus& backend) {
  json.object([&] { setMembers(json, backend); });
}

void add(Json& json, const PluginStatus& plugin) {
  json.object([&] {
    setText(json, "kind", plugin.kind);
    if (!plugin.pool.empty()) setText(json, "pool", plugin.pool);
    setText(json, "id", plugin.info.id);
    setText(json, "version", plugin.info.version);
    setText(json, "file", log::validUtf8(plugin.info.file));
    json.set("generation", std::uint64_t{plugin.info.number});
    setText(json, "state", plugin.state);
  });
}

void setInfo(Json& json, const plugin::InstanceInfo& info) {
  setText(json, "plugin", info.id);
  setText(json, "version", info.version);
  setText(json, "file", log::validUtf8(info.file));
  json.set("generation", std::uint64_t{info.number});
}

void add(Json& json, const QuarantineStatus& one) {
  json.object([&] {
    setInfo(json, one.info);
    setText(json, "function", one.function);
    setText(json, "reason", log::validUtf8(one.reason));
    setTime(json, "since", one.since_unix_ns);
  });
}

void add(Json& json, const SlowCallStatus& call) {
  json.object([&] {
    setInfo(json, call.info);
    setText(json, "function", call.function);
    setText(json, "thread", call.thread);
    json.set("seconds", call.seconds);
  });
}

void add(Json& json, const ListenerStatus& listener) {
  json.object([&] {
    setText(json, "name", listener.name);
    setText(json, "pool", listener.pool);
    json.array("addresses", listener.addresses, [&](const std::string& address) { json.add(address); });
    json.set("max_connections", listener.max_connections);
    json.set("sessions", listener.sessions);
    json.set("accepted", listener.accepted);
    json.set("configured_max_connections", listener.configured_max_connections);
    json.set("client_rate", listener.rates.clients);
    setErrorRates(json, listener.rates);
    setText(json, "forward", listener.forward);
    if (!listener.source.empty()) setText(json, "source", listener.source);
  });
}

void setRebalance(Json& json, const std::optional<RebalanceStatus>& rebalance) {
  if (!rebalance) return json.setNull("rebalance");
  json.object("rebalance", [&] {
    setText(json, "mode", rebalance->quiet ? "quiet" : "off");
    setText(json, "state", rebalance->state);
    json.set("max_session_age_seconds", static_cast<double>(rebalance->max_age_ns) / 1e9);
    json.set("closed", rebalance->closed);
    json.set("aged", rebalance->aged);
    json.set("crossed", rebalance->crossed);
  });
}

void add(Json& json, const PoolStatus& pool) {
  json.object([&] {
    setText(json, "name", pool.name);
    json.set("ready", pool.ready);
    setText(json, "strategy", pool.strategy);
    setText(json, "checker", pool.checker);
    json.set("backends", pool.backends);
    json.set("eligible", pool.eligible);
    json.set("sessions", pool.sessions);
    json.set("queued", pool.queued);
    json.set("client_rate", pool.rates.clients);
    setRates(json, pool.rates);
    setPercentiles(json, "exchange_ms", pool.exchange_time);
    setPercentiles(json, "queue_ms", pool.queue_time);
    json.object("pick_ms", [&] {
      json.set("mean", pool.mean_pick_ms);
      json.set("worst", pool.worst_pick_ms);
    });
    setShadow(json, pool.shadow);
    setRebalance(json, pool.rebalance);
  });
}

void add(Json& json, const WorkerStatus& worker) {
  json.object([&] {
    json.set("sessions", worker.sessions);
    json.set("accepted", worker.accepted);
    json.set("lag_ms", worker.lag_ms);
  });
}

void setReload(Json& json, const std::optional<ReloadStatus>& reload) {
  if (!reload) return json.setNull("last_reload");
  json.object("last_reload", [&] { setReloadMembers(json, *reload); });
}

const char* stateOf(const Backend& backend) noexcept {
  if (!backend.resolved()) return "unresolved";
  if (!backend.enabled()) return "disabled";
  if (backend.draining()) return "draining";
  if (!backend.healthy()) return "down";
  return backend.ejected() ? "ejected" : "up";
}

void collectTotals(const Backend& backend, BackendStatus& status) {
  backend.forEachCounters([&](const BackendCounters& counters) {
    status.sessions += counters.sessions.value();
    status.connect_refused += counters.connect_refused.value();
    status.connect_timeouts += counters.connect_timeouts.value();
    status.connect_errors += counters.connect_errors.value();
    status.resets += counters.resets.value();
    status.idle_timeouts += counters.idle_timeouts.value();
    status.exchanges += counters.exchanges.value();
    status.bytes_in += counters.bytes_in.value();
    status.bytes_out += counters.bytes_out.value();
  });
}

void setSupervisor(Json& json, const std::optional<SupervisorStatus>& supervisor) {
  if (!supervisor) return json.setNull("supervisor");
  json.object("supervisor", [&] {
    json.set("pid", supervisor->pid);
    json.set("failed_upgrades", supervisor->failed_upgrades);
    setText(json, "last_failure", log::validUtf8(supervisor->last_failure));
    json.set("deaths", supervisor->deaths);
    setText(json, "last_death", log::validUtf8(supervisor->last_death));
  });
}

BackendStatus collect(const Backend& backend) {
  BackendStatus status;
  status.pool = backend.pool();
  status.settings = *backend.sharedSettings();
  for (auto& made : backend.overrides()) {
    const bool weight = made.action == Override::Action::kWeight;
    status.overrides.push_back({std::move(made), weight ? status.settings.weight : status.settings.max_connections});
  }
  status.settings.weight = backend.weight();
  status.settings.max_connections = backend.maxConnections();
  status.address = backend.addressText();
  status.state = stateOf(backend);
  status.reason = backend.healthy() && backend.ejected() ? backend.ejectionReason() : backend.healthReason();
  status.since_unix_ns = backend.healthSinceUnixNs();
  status.healthy = backend.healthy();
  status.active = backend.active();
  status.waiting = lemonade_load_u32(&backend.stats().waiting);
  collectTotals(backend, status);
  return status;
}

}  // namespace

std::string statusJson(const StatusInput& status) {
  Text text;
  text.text.reserve(kBytesOfProcess + kBytesOfBackend * status.backends.size());
  Json json(text);
  json.object([&] {
    setText(json, "version", status.version);
    setText(json, "abi", status.abi);
    json.set("uptime_seconds", static_cast<double>(status.uptime_ns) / 1e9);
    json.set("pid", status.pid);
    setSupervisor(json, status.supervisor);
    setText(json, "state", status.state);
    setText(json, "config_file", log::validUtf8(status.config_file));
    json.set("config_generation", status.config_generation);
    setReload(json, status.last_reload);
    json.set("max_connections", status.max_connections);
    json.object("descriptors", [&] {
      json.set("open", status.open_descriptors);
      json.set("limit", status.max_descriptors);
    });
    json.set("control_lag_ms", status.control_lag_ms);
    setForwarding(json, status.forwarding);
    json.array("listeners", status.listeners, [&](const auto& listener) { add(json, listener); });
    json.array("pools", status.pools, [&](const auto& pool) { add(json, pool); });
    json.array("workers", status.workers, [&](const auto& worker) { add(json, worker); });
    json.array("plugins", status.plugins, [&](const auto& plugin) { add(json, plugin); });
    json.array("quarantined", status.quarantined, [&](const auto& one) { add(json, one); });
    json.array("slow_calls", status.slow_calls, [&](const auto& call) { add(json, call); });
    json.array("backends", status.backends, [&](const auto& backend) { add(json, backend); });
  });
  text.text += '\n';
  return std::move(text.text);
}

namespace {

/// A document of one list.
template <class Items>
std::string listJson(std::string_view name, const Items& items) {
  Text text;
  Json json(text);
  json.object([&] { json.array(name, items, [&](const auto& item) { add(json, item); }); });
  text.text += '\n';
  return std::move(text.text);
}

}  // namespace

std::string backendsJson(const std::vector<BackendStatus>& backends) { return listJson("backends", backends); }
std::string poolsJson(const std::vector<PoolStatus>& pools) { return listJson("pools", pools); }
std::string pluginsJson(const std::vector<PluginStatus>& plugins, const std::vector<QuarantineStatus>& quarantined) {
  Text text;
  Json json(text);
  json.object([&] {
    json.array("plugins", plugins, [&](const auto& plugin) { add(json, plugin); });
    json.array("quarantined", quarantined, [&](const auto& one) { add(json, one); });
  });
  text.text += '\n';
  return std::move(text.text);
}

std::string changeJson(const BackendStatus& backend, const ChangeStatus& change) {
  Text text;
  Json json(text);
  json.object([&] {
    setText(json, "text", log::validUtf8(change.text));
    if (change.made)
      json.object("override", [&] { setMembers(json, *change.made); });
    else
      json.setNull("override");
    json.set("taken_back", change.taken_back);
    if (!change.persist_line.empty())
      json.object("persist", [&] {
        setText(json, "line", change.persist_line);
        setText(json, "place", log::validUtf8(change.persist_place));
      });
    setMembers(json, backend);
  });
  text.text += '\n';
  return std::move(text.text);
}

std::optional<RebalanceStatus> withCounted(std::optional<RebalanceStatus> status, const PoolCounters& counters) {
  if (!status) return status;
  status->closed = counters.parted_rebalance.value();
  status->aged = counters.parted_max_age.value();
  status->crossed = counters.parted_crossed.value();
  return status;
}

Percentiles percentilesOf(const Histogram::Sum& samples) noexcept {
  return {samples.count, samples.quantile(0.5) / 1e6, samples.quantile(0.95) / 1e6, samples.quantile(0.99) / 1e6};
}

BackendStatus collectBackend(const Backend& backend, const Recent& recent, std::uint64_t now_ns) {
  auto status = collect(backend);
  const auto figures = recent.of(now_ns, backend);
  status.rates = figures.rates;
  status.connect_time = percentilesOf(figures.connect_time);
  status.exchange_time = percentilesOf(figures.exchange_time);
  return status;
}

std::vector<BackendStatus> collectBackends(std::span<const std::shared_ptr<Backend>> backends, const Recent& recent,
                                           std::uint64_t now_ns, std::span<PoolStatus> pools) {
  std::vector<BackendStatus> all;
  all.reserve(backends.size());
  std::unordered_map<std::string_view, std::pair<PoolStatus*, Histogram::Sum>> by_name;
  for (auto& pool : pools) by_name[pool.name].first = &pool;
  for (const auto& backend : backends) {
    auto& status = all.emplace_back(collect(*backend));
    const auto figures = recent.of(now_ns, *backend);
    status.rates = figures.rates;
    status.connect_time = percentilesOf(figures.connect_time);
    status.exchange_time = percentilesOf(figures.exchange_time);
    const auto pool = by_name.find(backend->pool());
    if (pool == by_name.end()) continue;
    pool->second.first->rates.exchanges += figures.rates.exchanges;
    pool->second.second.add(figures.exchange_time);
  }
  for (const auto& [name, pool] : by_name) pool.first->exchange_time = percentilesOf(pool.second);
  judgeSlowness(all);
  return all;
}

}  // namespace lemonade
