// SPDX-License-Identifier: MIT
//
// Collecting backends for status, and the layout of its JSON.
#include "app/status.h"

#include <Poco/DateTimeFormat.h>
#include <Poco/DateTimeFormatter.h>
#include <Poco/JSON/Array.h>
#include <Poco/JSON/Object.h>
#include <Poco/Timestamp.h>

#include <algorithm>
#include <sstream>

namespace lemonade::app {

namespace {

using Poco::JSON::Array;
using Poco::JSON::Object;

Object ordered() { return Object(Poco::JSON_PRESERVE_KEY_ORDER); }

/// RFC 3339 with microseconds; null for never.
Poco::Dynamic::Var timeOf(std::uint64_t unix_ns) {
  if (unix_ns == 0) return {};
  return Poco::DateTimeFormatter::format(Poco::Timestamp(static_cast<std::int64_t>(unix_ns / 1'000)),
                                         Poco::DateTimeFormat::ISO8601_FRAC_FORMAT);
}

Object json(const Percentiles& percentiles) {
  auto object = ordered();
  object.set("samples", percentiles.samples);
  object.set("p50", percentiles.p50);
  object.set("p95", percentiles.p95);
  object.set("p99", percentiles.p99);
  return object;
}

Object totals(const BackendStatus& backend) {
  auto failures = ordered();
  failures.set("refused", backend.connect_refused);
  failures.set("timeout", backend.connect_timeouts);
  failures.set("error", backend.connect_errors);
  auto object = ordered();
  object.set("sessions", backend.sessions);
  object.set("connect_failures", failures);
  object.set("resets", backend.resets);
  object.set("idle_timeouts", backend.idle_timeouts);
  object.set("exchanges", backend.exchanges);
  object.set("bytes_in", backend.bytes_in);
  object.set("bytes_out", backend.bytes_out);
  return object;
}

Object json(const BackendStatus& backend) {
  auto object = ordered();
  object.set("id", backend.id);
  object.set("name", backend.name);
  object.set("address", backend.address);
  object.set("state", backend.state);
  object.set("reason", backend.reason);
  object.set("since", timeOf(backend.since_unix_ns));
  object.set("healthy", backend.healthy);
  object.set("weight", backend.weight);
  object.set("priority", backend.priority);
  object.set("max_connections", backend.max_connections);
  object.set("active", backend.active);
  object.set("waiting", backend.waiting);
  object.set("totals", totals(backend));
  object.set("exchange_rate", backend.exchange_rate);
  object.set("connect_ms", json(backend.connect_time));
  object.set("exchange_ms", json(backend.exchange_time));
  return object;
}

Object json(const PluginStatus& plugin) {
  auto object = ordered();
  object.set("kind", plugin.kind);
  object.set("id", plugin.info.id);
  object.set("version", plugin.info.version);
  object.set("file", plugin.info.file);
  object.set("generation", plugin.info.generation);
  return object;
}

Object json(const WorkerStatus& worker) {
  auto object = ordered();
  object.set("sessions", worker.sessions);
  object.set("accepted", worker.accepted);
  return object;
}

template <class Item>
Array array(const std::vector<Item>& items) {
  Array array;
  for (const auto& item : items) {
    if constexpr (std::is_same_v<Item, std::string>)
      array.add(item);
    else
      array.add(json(item));
  }
  return array;
}

Poco::Dynamic::Var json(const std::optional<ReloadStatus>& reload) {
  if (!reload) return {};
  auto object = ordered();
  object.set("result", reload->result);
  object.set("reason", reload->reason);
  object.set("time", timeOf(reload->unix_ns));
  object.set("duration_seconds", static_cast<double>(reload->duration_ns) / 1e9);
  object.set("generation", reload->generation);
  object.set("lines", array(reload->lines));
  return object;
}

Percentiles percentiles(const Backend& backend, Histogram BackendCounters::*histogram) {
  Histogram::Sum sum;
  for (std::uint32_t worker = 0; worker < backend.workers(); ++worker) sum.add(backend.counters(worker).*histogram);
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
  for (std::uint32_t worker = 0; worker < backend.workers(); ++worker) {
    const auto& counters = backend.counters(worker);
    status.sessions += counters.sessions.value();
    status.connect_refused += counters.connect_refused.value();
    status.connect_timeouts += counters.connect_timeouts.value();
    status.connect_errors += counters.connect_errors.value();
    status.resets += counters.resets.value();
    status.idle_timeouts += counters.idle_timeouts.value();
    status.exchanges += counters.exchanges.value();
    status.bytes_in += counters.bytes_in.value();
    status.bytes_out += counters.bytes_out.value();
  }
}

BackendStatus collect(const Backend& backend) {
  BackendStatus status;
  status.id = backend.id();
  status.name = backend.name();
  status.address = backend.addressText();
  status.state = stateOf(backend);
  status.reason = backend.healthy() && backend.ejected() ? backend.ejectionReason() : backend.healthReason();
  status.since_unix_ns = backend.healthSinceUnixNs();
  status.healthy = backend.healthy();
  status.weight = backend.weight();
  status.priority = backend.priority();
  status.max_connections = backend.maxConnections();
  status.active = backend.active();
  status.waiting = lemonade_load_u32(&backend.stats().waiting);
  collectTotals(backend, status);
  status.connect_time = percentiles(backend, &BackendCounters::connect_time);
  status.exchange_time = percentiles(backend, &BackendCounters::exchange_time);
  return status;
}

}  // namespace

std::string statusJson(const StatusInput& status) {
  auto object = ordered();
  object.set("version", status.version);
  object.set("abi", status.abi);
  object.set("uptime_seconds", static_cast<double>(status.uptime_ns) / 1e9);
  object.set("pid", status.pid);
  object.set("state", status.state);
  object.set("config_file", status.config_file);
  object.set("config_generation", status.config_generation);
  object.set("last_reload", json(status.last_reload));
  object.set("max_connections", status.max_connections);
  object.set("listeners", array(status.listeners));
  object.set("workers", array(status.workers));
  object.set("plugins", array(status.plugins));
  object.set("backends", array(status.backends));
  std::ostringstream out;
  object.stringify(out, 2);
  out << '\n';
  return out.str();
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

std::vector<BackendStatus> collectBackends(std::span<const std::shared_ptr<Backend>> backends, ExchangeRates& rates,
                                           std::uint64_t now_ns) {
  std::vector<BackendStatus> all;
  all.reserve(backends.size());
  auto look = rates.look(now_ns);
  for (const auto& backend : backends) {
    all.push_back(collect(*backend));
    all.back().exchange_rate = look.rate(backend->identity(), all.back().exchanges);
  }
  return all;
}

}  // namespace lemonade::app
