// SPDX-License-Identifier: MIT
//
// Collecting backends for status, and the layout of its JSON.
#include "observe/status.h"

#include "base/log_line.h"
#include "observe/json_writer.h"
#include "observe/reloads.h"

#include <algorithm>

namespace lemonade {

namespace {

void setPercentiles(Json& json, std::string_view name, const Percentiles& percentiles) {
  json.object(name, [&] {
    json.set("samples", percentiles.samples);
    json.set("p50", percentiles.p50);
    json.set("p95", percentiles.p95);
    json.set("p99", percentiles.p99);
  });
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
  json.set("exchange_rate", backend.exchange_rate);
  setPercentiles(json, "connect_ms", backend.connect_time);
  setPercentiles(json, "exchange_ms", backend.exchange_time);
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
  });
}

void add(Json& json, const WorkerStatus& worker) {
  json.object([&] {
    json.set("sessions", worker.sessions);
    json.set("accepted", worker.accepted);
  });
}

void setReload(Json& json, const std::optional<ReloadStatus>& reload) {
  if (!reload) return json.setNull("last_reload");
  json.object("last_reload", [&] { setReloadMembers(json, *reload); });
}

Percentiles percentiles(const Backend& backend, Histogram BackendCounters::*histogram) {
  Histogram::Sum sum;
  backend.forEachCounters([&](const BackendCounters& counters) { sum.add(counters.*histogram); });
  return {sum.count, sum.quantile(0.5) / 1e6, sum.quantile(0.95) / 1e6, sum.quantile(0.99) / 1e6};
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

/// Without those of processes before this one, which come all at once and are no rate.
std::uint64_t ownExchanges(const Backend& backend) {
  std::uint64_t sum = 0;
  for (std::uint32_t worker = 0; worker < backend.workers(); ++worker)
    sum += backend.counters(worker).exchanges.value();
  return sum;
}

void setSupervisor(Json& json, const std::optional<SupervisorStatus>& supervisor) {
  if (!supervisor) return json.setNull("supervisor");
  json.object("supervisor", [&] {
    json.set("pid", supervisor->pid);
    json.set("failed_upgrades", supervisor->failed_upgrades);
    setText(json, "last_failure", log::validUtf8(supervisor->last_failure));
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
  status.connect_time = percentiles(backend, &BackendCounters::connect_time);
  status.exchange_time = percentiles(backend, &BackendCounters::exchange_time);
  return status;
}

}  // namespace

std::string statusJson(const StatusInput& status) {
  Text text;
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
    json.array("listeners", status.listeners, [&](const auto& listener) { add(json, listener); });
    json.array("pools", status.pools, [&](const auto& pool) { add(json, pool); });
    json.array("workers", status.workers, [&](const auto& worker) { add(json, worker); });
    json.array("plugins", status.plugins, [&](const auto& plugin) { add(json, plugin); });
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
std::string pluginsJson(const std::vector<PluginStatus>& plugins) { return listJson("plugins", plugins); }

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

ExchangeRates::Look ExchangeRates::look(std::uint64_t now_ns) { return Look(*this, now_ns); }

ExchangeRates::Look::Look(ExchangeRates& rates, std::uint64_t now_ns)
    : rates_(rates), lock_(rates.mutex_), previous_ns_(rates.last_ns_), now_ns_(std::max(now_ns, rates.last_ns_)) {}

ExchangeRates::Look::~Look() {
  rates_.last_ns_ = now_ns_;
  rates_.past_ = std::move(seen_);
}

double ExchangeRates::Look::rate(std::uint64_t identity, std::uint64_t exchanges) {
  const auto found = rates_.past_.find(identity);
  // A total that went back belongs to a backend that left and came again.
  const bool known = found != rates_.past_.end() && found->second.next <= exchanges;
  Past past = known ? found->second : Past{previous_ns_, 0, now_ns_, exchanges};
  if (now_ns_ - past.next_ns >= static_cast<std::uint64_t>(rates_.window_.count()))
    past = {past.next_ns, past.next, now_ns_, exchanges};
  seen_.emplace(identity, past);
  const double seconds = static_cast<double>(now_ns_ - past.base_ns) / 1e9;
  return seconds > 0 ? static_cast<double>(exchanges - past.base) / seconds : 0;
}

double ExchangeRates::last(std::uint64_t identity, std::uint64_t exchanges, std::uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  const auto found = past_.find(identity);
  if (found == past_.end() || found->second.base > exchanges || found->second.base_ns >= now_ns) return 0;
  return static_cast<double>(exchanges - found->second.base) /
         (static_cast<double>(now_ns - found->second.base_ns) / 1e9);
}

BackendStatus collectBackend(const Backend& backend, ExchangeRates& rates, std::uint64_t now_ns) {
  auto status = collect(backend);
  status.exchange_rate = rates.last(backend.identity(), ownExchanges(backend), now_ns);
  return status;
}

std::vector<BackendStatus> collectBackends(std::span<const std::shared_ptr<Backend>> backends, ExchangeRates& rates,
                                           std::uint64_t now_ns) {
  std::vector<BackendStatus> all;
  all.reserve(backends.size());
  auto look = rates.look(now_ns);
  for (const auto& backend : backends) {
    all.push_back(collect(*backend));
    all.back().exchange_rate = look.rate(backend->identity(), ownExchanges(*backend));
  }
  return all;
}

}  // namespace lemonade
