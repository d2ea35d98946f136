// SPDX-License-Identifier: MIT
//
// What operators are answered: the routes of the admin listener, the metrics, and the one line for the service manager.
#include "admin/server.h"
#include "admin/target.h"
#include "app/configuration_facts.h"
#include "app/load_balancer.h"
#include "app/log_levels.h"
#include "app/managed_pool.h"
#include "app/openapi.h"
#include "app/order.h"
#include "app/parent.h"
#include "app/pool_set.h"
#include "app/preparation.h"
#include "app/rebalancing.h"
#include "app/shadowing.h"
#include "app/validation.h"
#include "balance/pool.h"
#include "base/log.h"
#include "dashboard/dashboard.h"
#include "metrics/publisher.h"
#include "observe/configuration.h"
#include "observe/events.h"
#include "observe/families.h"
#include "observe/forwarding.h"
#include "observe/reloads.h"
#include "observe/status.h"
#include "process/descriptor_budget.h"
#include "proxy/proxy.h"
#include "upgrade/heritage.h"
#include "watch/watcher.h"

#include <lemonade/plugin.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <new>
#include <set>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;

const std::string kAbi = std::to_string(LEMONADE_ABI_MAJOR) + "." + std::to_string(LEMONADE_ABI_MINOR);
constexpr auto kReloadWait = 30s;
constexpr Duration kAnswerMargin = 10s;
constexpr auto kLevelWait = 10s;
constexpr auto kReopenWait = 10s;

admin::Response text(int status, const std::string& line) { return {status, "text/plain", line + "\n", {}}; }

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

std::shared_ptr<admin::Server> LoadBalancer::makeAdmin(const config::Config& config) {
  using admin::Late, admin::Prompt, admin::Slow;
  admin::Limits limits;
  limits.connections = shareOut(config, context_.open_at_start, descriptorLimit()).admin;
  auto server = std::make_shared<admin::Server>(limits);
  server->handle("GET", "/", Prompt{[](const auto&) { return dashboard::page(); }});
  server->handle("GET", "/metrics", Slow{[this](const auto& request) { return metrics("", request.accept); }});
  server->handle("GET", "/metrics/*", Slow{[this](const auto& request) {
                   return metrics(request.path.substr(std::strlen("/metrics/")), request.accept);
                 }});
  server->handle("GET", "/healthz", Prompt{[](const auto&) { return text(200, "ok"); }});
  server->handle("GET", "/readyz", Prompt{[this](const auto&) { return readiness(); }});
  server->handle("GET", "/api/v1/status", Slow{[this](const auto&) { return status(); }});
  server->handle("GET", "/api/v1/backends", Slow{[this](const auto& request) { return backendsOf(request); }});
  server->handle("GET", "/api/v1/pools", Slow{[this](const auto&) { return pools(); }});
  server->handle("GET", "/api/v1/shadows", Slow{[this](const auto& request) { return shadows(request); }});
  server->handle("GET", "/api/v1/plugins", Slow{[this](const auto&) { return plugins(); }});
  server->handle("POST", "/api/v1/plugins/*",
                 Late{[this](const auto& request, const auto& answer) { releasePlugin(request, answer); }, kReloadWait,
                      text(202, "released, and still reloading; the log will tell")});
  server->handle("GET", "/api/v1/reloads", Slow{[this](const auto&) { return reloads(); }});
  server->handle("GET", "/api/v1/events",
                 Late{[this](const auto& request, const auto& answer) { answerEvents(request, answer); },
                      kLongestWait + kAnswerMargin, admin::errorResponse(503, "the answer takes too long")});
  server->handle("GET", "/api/v1/stream", Prompt{[this](const auto& request) { return stream(request); }});
  server->handle("GET", "/api/v1/pools/*", Slow{[this](const auto& request) { return why(request); }});
  server->handle("POST", "/api/v1/pools/*",
                 Late{[this](const auto& request, const auto& answer) { control(request, answer); }, kAnswerMargin,
                      admin::errorResponse(503, "the control thread is busy; status will tell whether it was done")});
  server->handle("GET", "/api/v1/config", Slow{[this](const auto&) { return configuration(); }});
  server->handle("POST", "/api/v1/reload",
                 Late{[this](const auto& request, const auto& answer) { requestReload(request, answer); }, kReloadWait,
                      text(202, "still reloading; the log will tell")});
  server->handle("POST", "/api/v1/validate", Slow{[this](const auto& request) { return validate(request); }});
  server->handle("GET", "/api/v1/log-level",
                 Prompt{[this](const auto&) { return admin::Response{.body = log_levels_->json()}; }});
  for (const char* method : {"POST", "PUT"})
    server->handle(method, "/api/v1/log-level",
                   Late{[this](const auto& request, const auto& answer) { setLogLevel(request, answer); }, kLevelWait,
                        text(202, "the balancer is busy; the log will tell")});
  server->handle("GET", "/api/v1/openapi.json", Prompt{[](const auto&) { return openApi(); }});
  server->handle("POST", "/api/v1/reopen",
                 Late{[this](const auto&, const auto& answer) { reopen("request", answer); }, kReopenWait,
                      text(202, "a sink is still busy; the log will tell")});
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

std::vector<std::string> LoadBalancer::poolsWithoutBackend() const {
  std::vector<std::string> names;
  for (const auto& pool : pools_->configured())
    if (pool->pool().eligibleCount() == 0) names.push_back(pool->name());
  return names;
}

admin::Response LoadBalancer::readiness() const {
  if (stopping()) return text(503, stageText());
  const auto down = poolsWithoutBackend();
  const auto degraded = degradedText();
  if (down.empty() && !serving_) return text(503, "starting");
  if (down.empty()) return text(200, degraded.empty() ? "ready" : "ready, degraded: " + degraded);
  const std::size_t pools = pools_->configured().size();
  if (pools == 1) return text(503, "no backend is eligible");
  const std::string which = "no backend is eligible in pool " + joined(down);
  return isReady(down, pools) ? text(200, "ready, but " + which) : text(503, which);
}

bool LoadBalancer::isReady(const std::vector<std::string>& down, std::size_t pools) const {
  config::Ready ready;
  {
    const std::lock_guard lock(facts_mutex_);
    ready = facts_->config.ready;
  }
  if (ready.pools == config::Ready::Pools::kAny) return down.size() < pools;
  if (ready.pools == config::Ready::Pools::kAll) return down.empty();
  return std::none_of(down.begin(), down.end(), [&](const auto& name) {
    return std::find(ready.names.begin(), ready.names.end(), name) != ready.names.end();
  });
}

std::string LoadBalancer::summary() const {
  const std::string sessions = std::to_string(proxy_->sessions()) + " sessions";
  if (stage_.load() == Stage::kGrace) return "stopping, clients are still accepted, " + sessions;
  if (stage_.load() == Stage::kDraining) return "stopping, " + sessions + " left";
  std::size_t backends = 0, eligible = 0;
  for (const auto& pool : pools_->configured()) {
    backends += pool->pool().backends()->size();
    eligible += pool->pool().eligibleCount();
  }
  std::string line = std::to_string(eligible) + " of " + std::to_string(backends) + " backends eligible, " + sessions;
  const auto down = poolsWithoutBackend();
  if (!down.empty() && pools_->configured().size() > 1) line += ", no backend in pool " + joined(down);
  return line;
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

std::vector<Recent::ListenerNow> LoadBalancer::listenersNow() const {
  std::map<std::string, Tally> tallies;
  for (const auto& listener : proxy_->allListeners())
    for (const auto* counters : listener->counters()) {
      auto& tally = tallies[listener->name()];
      tally.clients += counters->accepted.value();
      tally.errors += errorsOf(*counters);
    }
  std::vector<Recent::ListenerNow> all;
  for (const auto& [name, tally] : tallies) all.push_back({name, tally});
  return all;
}

std::vector<Recent::PoolNow> LoadBalancer::poolsNow() const {
  std::map<std::string, Recent::PoolNow> by_name;
  for (const auto& pool : pools_->all())
    for (const auto* counters : pool->pool().counters()) {
      auto& now = by_name[pool->name()];
      now.tally.clients += counters->clients.value();
      now.tally.errors += errorsOf(*counters);
      now.queue_time.add(counters->queue_time);
    }
  std::vector<Recent::PoolNow> all;
  for (auto& [name, now] : by_name) {
    now.name = name;
    all.push_back(std::move(now));
  }
  return all;
}

void LoadBalancer::addListeners(StatusInput& input, const ConfigurationFacts& facts) const {
  ProcessTotals totals;
  collectListeners(totals.listeners, heritage_->totals()->listeners);
  const auto listeners = listenersNow();
  const std::uint64_t now_ns = nowNs();
  for (const auto& listener : proxy_->allListeners()) {
    const auto addresses = facts.addresses.find(listener->name());
    if (listener->isRemoved() || addresses == facts.addresses.end()) continue;
    const auto& counters = totalsOf(totals.listeners, listener->name()).counters;
    const auto now =
        std::find_if(listeners.begin(), listeners.end(), [&](const auto& one) { return one.name == listener->name(); });
    const auto config = listener->config();
    const bool by_kernel = config->forward == config::Forward::kKernel;
    input.listeners.push_back({listener->name(), listener->pool().name(), addresses->second,
                               listener->admission().limit(), counters.sessions.value(), counters.accepted.value(),
                               config->max_connections, now != listeners.end() ? recent_->of(now_ns, *now) : Rates{},
                               config::wordOf(config->forward),
                               by_kernel ? config::wordOf(config->forward_source) : ""});
  }
  input.forwarding = forwarding(totals.listeners);
}

void LoadBalancer::addPools(StatusInput& input, const ConfigurationFacts& facts) const {
  const auto pools = poolsNow();
  const std::uint64_t now_ns = nowNs();
  for (const auto& pool : pools_->configured()) {
    PoolTotals totals;
    pool->collect(totals);
    const auto pluginOf = [&](const plugin::Kind& kind) {
      const auto found = std::find_if(facts.plugins.begin(), facts.plugins.end(), [&](const auto& plugin) {
        return plugin.pool == pool->name() && plugin.kind == kind.name;
      });
      return found == facts.plugins.end() ? "" : found->info.id;
    };
    const std::uint64_t eligible = pool->pool().eligibleCount();
    input.pools.push_back({pool->name(), eligible != 0, pluginOf(plugin::kKindOf<lemonade_strategy_t>),
                           pluginOf(plugin::kKindOf<lemonade_health_checker_t>), pool->pool().backends()->size(),
                           eligible, totals.counters.sessions.value(), totals.counters.queued.value()});
    auto& status = input.pools.back();
    status.shadow = pool->shadowing().status();
    status.rebalance = withCounted(pool->rebalancing().status(), totals.counters);
    if (const auto now =
            std::find_if(pools.begin(), pools.end(), [&](const auto& one) { return one.name == pool->name(); });
        now != pools.end()) {
      const auto [rates, queue_time] = recent_->of(now_ns, *now);
      status.rates = rates;
      status.queue_time = percentilesOf(queue_time);
    }
    if (const double timed = static_cast<double>(totals.counters.picks_timed.value()); timed > 0)
      status.mean_pick_ms = static_cast<double>(totals.counters.pick_ns.value()) / timed / 1e6;
    status.worst_pick_ms = static_cast<double>(pool->pool().slowestPick(now_ns)) / 1e6;
  }
}

std::vector<std::shared_ptr<Backend>> LoadBalancer::backends() const {
  std::vector<std::shared_ptr<Backend>> backends;
  for (const auto& pool : pools_->all()) {
    const auto of_pool = pool->backends();
    backends.insert(backends.end(), of_pool.begin(), of_pool.end());
  }
  return backends;
}

admin::Response LoadBalancer::status() {
  heritage_->awaitLatest();
  StatusInput input;
  std::shared_ptr<const ConfigurationFacts> facts;
  {
    const std::lock_guard lock(facts_mutex_);
    facts = facts_;
    if (last_reload_ != nullptr) input.last_reload = *last_reload_;
    if (parent_.supervisor.exists())
      input.supervisor = {::getppid(), failed_upgrades_, upgrade_failure_, deaths_, last_death_};
  }
  input.version = LEMONADE_VERSION;
  input.abi = kAbi;
  input.uptime_ns = nowNs() - started_ns_;
  input.pid = ::getpid();
  input.state = stageText();
  input.config_generation = facts->generation;
  input.config_file = facts->config.file;
  input.max_connections = proxy_->maxConnections();
  addListeners(input, *facts);
  addPools(input, *facts);
  const std::uint64_t now_ns = nowNs();
  const auto counters = proxy_->counters();
  const auto lags = proxy_->lags(now_ns);
  for (std::size_t i = 0; i < std::min(counters.size(), lags.size()); ++i)
    if (input.workers.size() < proxy_->serving() || counters[i]->sessions.value() != 0)
      input.workers.push_back(
          {counters[i]->sessions.value(), counters[i]->accepted.value(), static_cast<double>(lags[i]) / 1e6});
  input.control_lag_ms = static_cast<double>(control_lag_.worst(now_ns)) / 1e6;
  input.open_descriptors = openDescriptors();
  input.max_descriptors = descriptorLimit();
  input.plugins = facts->plugins;
  addContainment(input);
  input.backends = collectBackends(backends(), *recent_, now_ns, input.pools);
  return {200, "application/json", statusJson(input), {}};
}

admin::Response LoadBalancer::configuration() const {
  std::shared_ptr<const ConfigurationFacts> facts;
  {
    const std::lock_guard lock(facts_mutex_);
    facts = facts_;
  }
  return {200, "application/json", configurationJson(facts->config, facts->generation), {}};
}

admin::Response LoadBalancer::backendsOf(const admin::Request& request) {
  const auto parameters = admin::parseQuery(request.query);
  if (!parameters) return admin::errorResponse(400, "the query is encoded wrongly");
  for (const auto& [name, value] : *parameters)
    if (name != "pool") return admin::errorResponse(400, "backends take no parameter \"" + name + "\"; known is pool");
  heritage_->awaitLatest();
  auto all = collectBackends(backends(), *recent_, nowNs());
  const auto pool = parameters->find("pool");
  if (pool == parameters->end()) return {.body = backendsJson(all)};
  std::vector<std::string> names;
  for (const auto& one : pools_->configured()) names.push_back(one->name());
  if (std::find(names.begin(), names.end(), pool->second) == names.end()) return unknown("pool", pool->second, names);
  std::erase_if(all, [&](const auto& backend) { return backend.pool != pool->second; });
  return {.body = backendsJson(all)};
}

admin::Response LoadBalancer::pools() const {
  StatusInput input;
  std::shared_ptr<const ConfigurationFacts> facts;
  {
    const std::lock_guard lock(facts_mutex_);
    facts = facts_;
  }
  addPools(input, *facts);
  (void)collectBackends(backends(), *recent_, nowNs(), input.pools);
  return {.body = poolsJson(input.pools)};
}

admin::Response LoadBalancer::plugins() const {
  const std::lock_guard lock(facts_mutex_);
  return {.body = pluginsJson(facts_->plugins, quarantinedNow())};
}

void LoadBalancer::requestReload(const admin::Request& request, const admin::Answer& answer) {
  if (stopping()) return answer(text(503, stageText()));
  {
    const std::lock_guard lock(facts_mutex_);
    reload_by_ = request.by;
  }
  watcher_->request("request", [answer](const Reloaded& reloaded) {
    std::string lines = reloaded.applied ? "reloaded" : "refused, the running configuration stays";
    for (const auto& line : reloaded.lines) lines += "\n" + line;
    answer(text(reloaded.applied ? 200 : 422, lines));
  });
}

admin::Response LoadBalancer::validate(const admin::Request& request) const {
  const ValidationPlace place{input_->file.value_or("request.toml"), input_->plugin_dirs};
  return validateApart(request.body, place, [this] { return stopping(); });
}

void LoadBalancer::setLogLevel(const admin::Request& request, const admin::Answer& answer) {
  const auto order = readLogLevelOrder(request.query);
  if (!order) return answer(admin::errorResponse(400, order.error().message));
  loop_.post([this, order = order.value(), answer] {
    log_levels_->set(order.levels, order.lasting);
    answer({.body = log_levels_->json()});
  });
}

// Also while it stops: the sessions that drain are logged, too.
void LoadBalancer::reopen(const std::string& reason, const admin::Answer& answer) {
  publisher_->reopen([reason, answer](const metrics::Reopening::Outcome& outcome) {
    for (const auto& problem : outcome.problems)
      log::error("metrics", "cannot open a file anew, the old one is written on", {{"reason", problem}});
    const std::string done = outcome.reopened == 0 && outcome.problems.empty()
                                 ? "no sink writes to a file that could be opened anew"
                                 : "sinks that opened their files anew: " + std::to_string(outcome.reopened);
    log::info("metrics", done, {{"reason", reason}});
    std::string lines = done;
    for (const auto& problem : outcome.problems) lines += "\n" + problem;
    answer(text(outcome.problems.empty() ? 200 : 500, lines));
  });
}

admin::Response LoadBalancer::metrics(const std::string& id, const std::string& accept) {
  heritage_->awaitLatest();
  auto rendered = publisher_->render(id, accept);
  if (!rendered)
    return admin::errorResponse(404, id.empty() ? "no sink answers here; name \"prometheus\" in [metrics] sinks"
                                                : "no sink \"" + id + "\" answers here");
  if (!*rendered) return admin::errorResponse(publisher_->answers(id) ? 500 : 503, rendered->error().message);
  return {200, std::move(rendered->value().content_type), std::move(rendered->value().body), {}};
}

void LoadBalancer::addListeners(metrics::SnapshotBuilder& builder, const ProcessTotals& totals) const {
  std::map<std::string, std::pair<std::uint32_t, std::uint32_t>> limits;  // in force, and configured
  std::set<std::string> by_kernel;
  for (const auto& listener : proxy_->allListeners())
    if (!listener->isRemoved()) {
      limits[listener->name()] = {listener->admission().limit(), listener->config()->max_connections};
      if (listener->isForwardedByKernel()) by_kernel.insert(listener->name());
    }
  std::vector<ListenerFacts> listeners;
  for (const auto& total : totals.listeners) {
    const auto [limit, configured] = limits[total.name];
    listeners.push_back({total.name, total.counters, limit, configured, by_kernel.contains(total.name)});
  }
  lemonade::addListeners(builder, listeners);
  if (const auto status = forwarding(totals.listeners)) lemonade::addForwarding(builder, *status, listeners);
}

void LoadBalancer::addPools(metrics::SnapshotBuilder& builder, const ProcessTotals& totals) const {
  std::set<std::string> checked, connected;
  for (const auto& pool : pools_->all()) {
    if (pool->checks()) checked.insert(pool->name());
    if (pool->checkerIsBroken()) connected.insert(pool->name());
  }
  const std::uint64_t now_ns = nowNs();
  std::map<std::string, std::uint64_t> slowest_picks;
  for (const auto& pool : pools_->all())
    slowest_picks[pool->name()] = std::max(slowest_picks[pool->name()], pool->pool().slowestPick(now_ns));
  std::shared_ptr<const ConfigurationFacts> facts;
  {
    const std::lock_guard lock(facts_mutex_);
    facts = facts_;
  }
  std::map<std::string, std::string> strategies;
  for (const auto& plugin : facts->plugins)
    if (plugin.kind == plugin::kKindOf<lemonade_strategy_t>.name) strategies[plugin.pool] = plugin.info.id;
  std::vector<PoolFacts> pools;
  for (const auto& total : totals.pools)
    pools.push_back({total.name, total.counters, checked.contains(total.name), total.checks.value(),
                     total.check_failures.value(), total.checker_errors.value(), total.ejections.value(),
                     strategies[total.name], slowest_picks[total.name], connected.contains(total.name)});
  lemonade::addPools(builder, pools);
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
    facts.deaths = deaths_;
    facts.last_upgrade_failed = failed_upgrades_ != 0;  // one that did not fail has ended this process
  }
  facts.upgrades_completed = totals.upgrades.value();
  facts.upgrades_failed = totals.upgrades_failed.value();
  facts.draining_processes = heritage_->processes();
  facts.draining_sessions = heritage_->sessions();
  facts.mapped_generations = plugin::Image::mapped();
  facts.log_dropped = totals.log_dropped.value();
  facts.open_descriptors = openDescriptors();
  facts.max_descriptors = descriptorLimit();
  const std::uint64_t now_ns = nowNs();
  facts.control_lag_ns = control_lag_.worst(now_ns);
  facts.worker_lags_ns = proxy_->lags(now_ns);
  facts.worker_lags_ns.resize(std::min<std::size_t>(facts.worker_lags_ns.size(), proxy_->serving()));
  addProcess(builder, facts);
  addListeners(builder, totals);
  addPools(builder, totals);
  addShadows(builder);
  addBackends(builder, backends());
  addPluginMetrics(builder, context_.cells);
  addContainment(builder);
}

}  // namespace lemonade::app
