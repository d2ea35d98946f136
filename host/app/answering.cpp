// SPDX-License-Identifier: MIT
//
// What operators are answered: the routes of the admin listener, the metrics, and the one line for the service manager.
#include "admin/server.h"
#include "app/configuration_facts.h"
#include "app/load_balancer.h"
#include "app/managed_pool.h"
#include "app/parent.h"
#include "app/preparation.h"
#include "balance/pool.h"
#include "metrics/publisher.h"
#include "observe/metrics_sources.h"
#include "observe/status.h"
#include "process/descriptor_budget.h"
#include "proxy/proxy.h"
#include "upgrade/heritage.h"
#include "watch/watcher.h"

#include <lemonade/plugin.h>
#include <unistd.h>

#include <cstring>
#include <new>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;

const std::string kAbi = std::to_string(LEMONADE_ABI_MAJOR) + "." + std::to_string(LEMONADE_ABI_MINOR);
constexpr auto kReloadWait = 30s;

admin::Response text(int status, const std::string& line) { return {status, "text/plain", line + "\n", {}}; }

}  // namespace

std::shared_ptr<admin::Server> LoadBalancer::makeAdmin(const config::Config& config) {
  using admin::Late, admin::Prompt, admin::Slow;
  admin::Limits limits;
  limits.connections = shareOut(config, context_.open_at_start, descriptorLimit()).admin;
  auto server = std::make_shared<admin::Server>(limits);
  server->handle("GET", "/metrics", Slow{[this](const auto& request) { return metrics("", request.accept); }});
  server->handle("GET", "/metrics/*", Slow{[this](const auto& request) {
                   return metrics(request.path.substr(std::strlen("/metrics/")), request.accept);
                 }});
  server->handle("GET", "/healthz", Prompt{[](const auto&) { return text(200, "ok"); }});
  server->handle("GET", "/readyz", Prompt{[this](const auto&) { return readiness(); }});
  server->handle("GET", "/api/v1/status", Slow{[this](const auto&) { return status(); }});
  server->handle("POST", "/api/v1/reload",
                 Late{[this](const auto&, const auto& answer) { requestReload(answer); }, kReloadWait,
                      text(202, "still reloading; the log will tell")});
  return server;
}

const char* LoadBalancer::stageText() const noexcept {
  switch (stage_.load()) {
    case Stage::kRunning:
      return "running";
    case Stage::kGrace:
      return "stopping";
    case Stage::kDraining:
      break;
  }
  return "draining";
}

admin::Response LoadBalancer::readiness() const {
  if (stopping()) return text(503, stageText());
  return pool_->pool().eligibleCount() == 0 ? text(503, "no backend is eligible") : text(200, "ready");
}

std::string LoadBalancer::summary() const {
  const std::string sessions = std::to_string(proxy_->sessions()) + " sessions";
  if (stage_.load() == Stage::kGrace) return "stopping, clients are still accepted, " + sessions;
  if (stage_.load() == Stage::kDraining) return "stopping, " + sessions + " left";
  return std::to_string(pool_->pool().eligibleCount()) + " of " + std::to_string(pool_->pool().backends()->size()) +
         " backends eligible, " + sessions;
}

std::vector<ServiceManager::StillThread> LoadBalancer::stillThreads(std::uint64_t now_ns) {
  std::vector<ServiceManager::StillThread> still;
  proxy_->look(now_ns, [&](std::uint32_t worker, std::uint64_t since_ns) {
    still.push_back({"worker-" + std::to_string(worker), since_ns});
  });
  if (const std::uint64_t since_ns = control_pulse_.owesSince(); since_ns != 0) {
    still.push_back({"control", since_ns});
    return still;
  }
  control_pulse_.ask(now_ns);
  try {
    loop_.post([this] { control_pulse_.answer(); });
  } catch (const std::bad_alloc&) {
    control_pulse_.answer();  // it was not asked
  }
  return still;
}

admin::Response LoadBalancer::status() {
  heritage_->awaitLatest();
  StatusInput input;
  std::shared_ptr<const ConfigurationFacts> facts;
  {
    const std::lock_guard lock(facts_mutex_);
    facts = facts_;
    if (last_reload_ != nullptr) input.last_reload = *last_reload_;
    if (parent_.supervisor.exists()) input.supervisor = {::getppid(), failed_upgrades_, upgrade_failure_};
  }
  input.version = LEMONADE_VERSION;
  input.abi = kAbi;
  input.uptime_ns = nowNs() - started_ns_;
  input.pid = ::getpid();
  input.state = stageText();
  input.config_generation = facts->generation;
  input.config_file = facts->config_file;
  input.max_connections = proxy_->maxConnections();
  input.listeners = facts->listeners;
  for (const auto* counters : proxy_->counters())
    if (input.workers.size() < proxy_->serving() || counters->sessions.value() != 0)
      input.workers.push_back({counters->sessions.value(), counters->accepted.value()});
  input.plugins = facts->plugins;
  input.backends = collectBackends(pool_->backends(), *rates_, nowNs());
  return {200, "application/json", statusJson(input), {}};
}

void LoadBalancer::requestReload(const admin::Answer& answer) {
  if (stopping()) return answer(text(503, stageText()));
  watcher_->request("request", [answer](const Reloaded& reloaded) {
    std::string lines = reloaded.applied ? "reloaded" : "refused, the running configuration stays";
    for (const auto& line : reloaded.lines) lines += "\n" + line;
    answer(text(reloaded.applied ? 200 : 422, lines));
  });
}

admin::Response LoadBalancer::metrics(const std::string& id, const std::string& accept) {
  heritage_->awaitLatest();
  auto rendered = publisher_->render(id, accept);
  if (!rendered)
    return admin::errorResponse(404, id.empty() ? "no sink answers here; name \"prometheus\" in [metrics] sinks"
                                                : "no sink \"" + id + "\" answers here");
  if (!*rendered) return admin::errorResponse(500, rendered->error().message);
  return {200, std::move(rendered->value().content_type), std::move(rendered->value().body), {}};
}

void LoadBalancer::addFamilies(metrics::SnapshotBuilder& builder) const {
  ProcessTotals totals;
  collect(totals);
  ProcessFacts facts;
  facts.version = LEMONADE_VERSION;
  facts.abi = kAbi;
  facts.started_unix_ns = started_unix_ns_;
  facts.uptime_ns = nowNs() - started_ns_;
  facts.config_generation = totals.generations.value();
  facts.reloads_applied = totals.reloads_applied.value();
  facts.reloads_failed = totals.reloads_failed.value();
  {
    const std::lock_guard lock(facts_mutex_);
    if (last_reload_ != nullptr) {
      facts.last_reload_failed = last_reload_->result == "failed";
      facts.last_reload_unix_ns = last_reload_->unix_ns;
      facts.last_reload_duration_ns = last_reload_->duration_ns;
    }
  }
  facts.upgrades_completed = totals.upgrades.value();
  facts.upgrades_failed = totals.upgrades_failed.value();
  facts.draining_processes = heritage_->processes();
  facts.draining_sessions = heritage_->sessions();
  facts.mapped_generations = plugin::Image::mapped();
  facts.log_dropped = totals.log_dropped.value();
  facts.health_checks = totals.checks.value();
  facts.health_failures = totals.check_failures.value();
  facts.checker_errors = totals.checker_errors.value();
  facts.checks = pool_->checks();
  facts.ejections = totals.ejections.value();
  addProcess(builder, facts);
  std::vector<const ListenerCounters*> of_listeners{&heritage_->totals().proxy.listeners};
  const auto listeners = proxy_->allListeners();
  for (const auto& listener : listeners)
    for (const auto* counters : listener->counters()) of_listeners.push_back(counters);
  std::vector<const PoolCounters*> of_pools = pool_->pool().counters();
  of_pools.push_back(&heritage_->totals().proxy.pools);
  addProxy(builder, of_listeners, of_pools, proxy_->maxConnections());
  addBackends(builder, pool_->backends());
  addPluginMetrics(builder, context_.cells);
}

}  // namespace lemonade::app
