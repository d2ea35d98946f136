// SPDX-License-Identifier: MIT
//
// Starting, the end and answering; reload.cpp has how a configuration takes effect, stopping.cpp what a signal begins,
// upgrading.cpp what goes on between this process and its supervisor.
#include "app/load_balancer.h"

#include "app/own_listeners.h"
#include "base/log.h"
#include "base/nanoseconds.h"
#include "base/seconds.h"
#include "observe/metrics_sources.h"
#include "process/worker_count.h"

#include <lemonade/plugin.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;

const std::string kAbi = std::to_string(LEMONADE_ABI_MAJOR) + "." + std::to_string(LEMONADE_ABI_MINOR);
constexpr auto kReloadWait = 30s;
constexpr Duration kCloseWhenDown = 1s;
constexpr Duration kLimitLook = 250ms;
constexpr int kRampSteps = 20;
constexpr Duration kShortestRampStep = 100ms;
constexpr Duration kPublishAgain = 20ms;
constexpr Duration kStartMargin = 10s;

Duration until(std::uint64_t deadline_ns) {
  const std::uint64_t now = nowNs();
  return Duration(static_cast<std::int64_t>(deadline_ns > now ? deadline_ns - now : 0));
}

/// What came of a reload, in a line.
std::string sentence(const std::string& reason, const std::string& result, const Reloaded& reloaded,
                     std::uint64_t generation) {
  std::string text = "last reload (" + reason + ") " + result + ", generation " + std::to_string(generation);
  if (!reloaded.applied && !reloaded.lines.empty()) text += ": " + reloaded.lines.front();
  return text;
}

admin::Response text(int status, const std::string& line) { return {status, "text/plain", line + "\n", {}}; }

}  // namespace

LoadBalancer::LoadBalancer(Preparation preparation, config::Input input, PreparationContext& context,
                           Watchdog& watchdog, Parent& parent, ServiceManager& service_manager,
                           std::uint64_t started_ns)
    : preparation_(std::move(preparation)),
      input_(std::move(input)),
      context_(context),
      watchdog_(watchdog),
      parent_(parent),
      service_manager_(service_manager),
      loop_(context.loop),
      started_ns_(started_ns),
      started_unix_ns_(unixNs() - (nowNs() - started_ns)),
      pool_(workerCount(preparation_->config)),
      proxy_(pool_, proxy::chooseRelay(preparation_->config.proxy.relay), preparation_->config.proxy.max_connections),
      descriptors_(loop_, context.open_at_start,
                   {[this] { return proxy_.sessions(); }, [this](auto limit) { proxy_.setMaxConnections(limit); }}),
      monitor_(
          loop_, [this](const auto& backend) { onChecked(backend); }, [this](const auto& check) { onCheck(check); }),
      ejector_(loop_, pool_, [this](const auto& backend) { onFlip(backend); }),
      membership_(loop_, context.resolver, pool_, [this](const auto& backends) { onBackends(backends); }),
      heritage_(context.cells),
      publisher_(
          {[this](auto& builder) { addFamilies(builder); }},
          [this](std::function<void()> task) { loop_.post(std::move(task)); }, started_ns),
      rates_(preparation_->config.metrics.interval, started_ns),
      shown_(std::make_shared<const Shown>()) {}

LoadBalancer::~LoadBalancer() {
  loop_.run([this] {
    loop_.cancel(reclaiming_);
    loop_.cancel(ramping_);
    loop_.cancel(limit_timer_);
    loop_.cancel(stop_timer_);
    loop_.cancel(awaiting_);
    descriptors_.stop();
    forgetSuccessor();
    if (predecessor_) loop_.unwatch(predecessor_.get());
    if (parent_.supervisor.exists()) loop_.unwatch(parent_.supervisor.fd());
  });
}

// ---- starting ------------------------------------------------------------------------------------------------------

Status LoadBalancer::start() {
  Status status = Error{"cannot start for want of memory"};
  // Before the admin listener answers, which asks it for reloads.
  watcher_ = std::make_unique<Watcher>(input_.file, preparation_->seen, [this](const auto& reason, const auto& file) {
    return reloadAndRemember(reason, file);
  });
  takePlace();
  loop_.run([&] {
    if (status = commitOrSay(*preparation_); !status) return;
    if (predecessor_) loop_.watch(predecessor_.get(), [this] { hearPredecessor(); });
    for (const auto& socket : parent_.inherited.closeRest())
      log::warning("app", "closed a socket that was handed over and is not configured", {{"socket", socket}});
    if (parent_.supervisor.exists()) loop_.watch(parent_.supervisor.fd(), [this] { hearSupervisor(); });
    watchdog_.serve([this](int signal) { loop_.post([this, signal] { onSignal(signal); }); });
    limit_timer_ = loop_.every(kLimitLook, [this] { proxy_.watchLimit(nowNs()); });
    awaitFirstChecks();
  });
  discard(*preparation_, loop_);
  return status;
}

// Where the first checks decide who takes clients, these wait for them in the kernel's queue rather than being told
// that there is nobody. A backend that does not answer its check holds all up for no longer than that may take.
void LoadBalancer::awaitFirstChecks() {
  if (config_.health.initial != config::Initial::kCheck || monitor_.allChecked()) return serve();
  pool_.setStarting(true);
  service_manager_.starting(config_.health.timeout + kStartMargin);
  awaiting_ = loop_.after(config_.health.timeout, [this] { serve(); });
}

void LoadBalancer::serve() {
  if (stopping() || std::exchange(serving_, true)) return;
  loop_.cancel(std::exchange(awaiting_, 0));
  if (publishing_) publish();
  pool_.setStarting(false);
  proxy_.start();
  parent_.supervisor.ready();
  log::info("app", "ready",
            {{"backends", pool_.backends()->size()},
             {"eligible", pool_.eligibleCount()},
             {"strategy", config_.strategy.id},
             {"workers", proxy_.serving()},
             {"pid", ::getpid()}});
  control_pulse_.begin();
  service_manager_.ready({[this] { return summary(); }, [this](auto now_ns) { return standing(now_ns); }});
}

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
  server->handle("GET", "/readyz", Prompt{[this](const auto&) {
                   if (stopping()) return text(503, stageText());
                   return pool_.eligibleCount() == 0 ? text(503, "no backend is eligible") : text(200, "ready");
                 }});
  server->handle("GET", "/api/v1/status", Slow{[this](const auto&) { return status(); }});
  server->handle("POST", "/api/v1/reload",
                 Late{[this](const auto&, const auto& answer) { requestReload(answer); }, kReloadWait,
                      text(202, "still reloading; the log will tell")});
  return server;
}

// ---- changing ------------------------------------------------------------------------------------------------------

/// Nobody is sent to ourselves, whatever a name resolves to.
void LoadBalancer::markLoops(const View::Backends& backends) const {
  std::vector<Address> addresses;
  for (const auto& listener : proxy_.listeners()) addresses.push_back(listener->address());
  const OwnListeners own(std::move(addresses));
  for (const auto& backend : backends) {
    const bool loops = own.reachedBy(backend->address());
    if (loops && !backend->loops())
      log::warning("app", "a backend is one of our own listeners, no client is sent there",
                   {{"backend", backend->id()}, {"address", backend->addressText()}});
    backend->setLoops(loops);
  }
}

void LoadBalancer::onBackends(const View::Backends& backends) {
  markLoops(backends);
  const auto left = pool_.setBackends(backends);
  monitor_.setBackends(backends);
  ejector_.setBackends(backends);
  adoptBackends(backends);
  publish();
  // Only now does no worker pick them any more.
  if (!left.empty()) proxy_.drain(left, proxy::drainTime(config_.runtime.drain_timeout));
  for (const auto& backend : left)
    if (backend->active() != 0)
      log::info("app", "a backend drains",
                {{"backend", backend->id()}, {"address", backend->addressText()}, {"sessions", backend->active()}});
}

void LoadBalancer::onChecked(const std::shared_ptr<Backend>& backend) {
  if (backend->healthy() && ejector_.forgive(*backend)) return;
  onFlip(backend);
}

void LoadBalancer::onCheck(const health::Monitor::Check& check) {
  ejector_.heardCheck(*check.backend, check.passed, check.began_ns);
  if (awaiting_ != 0 && monitor_.allChecked()) serve();
}

void LoadBalancer::onFlip(const std::shared_ptr<Backend>& backend) {
  publishSoon();
  const bool ejected = backend->healthy() && backend->ejected();
  publisher_.healthEvent({unixNs(), backend->identity(), backend->id(), backend->name(), backend->addressText(),
                          ejected              ? LEMONADE_HEALTH_EJECTED
                          : backend->healthy() ? LEMONADE_HEALTH_UP
                                               : LEMONADE_HEALTH_DOWN,
                          ejected ? backend->ejectionReason() : backend->healthReason()});
  if (backend->fit() || !config_.health.close_sessions_when_down) return;
  // After the view without it, so that no session comes to it later.
  loop_.post([this, backend] {
    proxy_.drain({backend}, {nowNs(), nowNs() + ns(kCloseWhenDown)}, proxy::Drain::Because::kDown);
  });
}

// Many backends may flip in one turn of the loop; one view serves them all.
void LoadBalancer::publishSoon() {
  if (publishing_) return;
  loop_.post([this] {
    publishing_ = false;
    publish();
  });
  publishing_ = true;
}

// What happened must reach the workers, also where there is no memory to tell them now.
void LoadBalancer::publish() try { publishNow(); } catch (const std::bad_alloc&) {
  loop_.cancel(std::exchange(ramping_, 0));
  ramping_ = loop_.after(kPublishAgain, [this] { publish(); });
}

void LoadBalancer::publishNow() {
  if (pool_.strategy() == nullptr) return;  // it has stopped meanwhile
  loop_.cancel(std::exchange(ramping_, 0));
  if (cleared_) return;
  const std::uint64_t began_ns = nowNs();
  if (pool_.publish(began_ns)) {
    // A large pool takes a while to prepare for: most of the time shall be left for other things.
    const Duration took(static_cast<Duration::rep>(nowNs() - began_ns));
    const auto step = std::max<Duration>({config_.health.slow_start / kRampSteps, kShortestRampStep, 10 * took});
    ramping_ = loop_.after(step, [this] { publish(); });
  }
  if (std::exchange(panicking_, pool_.panic()) != pool_.panic())
    panicking_ ? log::warning("balance", "too few backends are fit: all are used, see health.panic_threshold")
               : log::info("balance", "enough backends are fit again: only these are used");
  tellWhoIsLeft();
  service_manager_.changed();
  proxy_.wake();
  reclaimSoon(10ms);
}

void LoadBalancer::tellWhoIsLeft() {
  const bool stranded = pool_.eligibleCount() == 0;
  if (stranded == (stranded_ns_ != 0)) return;
  const std::uint64_t since = std::exchange(stranded_ns_, stranded ? nowNs() : 0);
  if (stranded)
    log::error("balance", "no backend is left, clients are turned away", {{"backends", pool_.backends()->size()}});
  else
    log::info("balance", "a backend is back, clients are served again", {{"after", secondsText(nowNs() - since)}});
}

// Idle workers announce themselves when woken; sessions of backends and workers that left have till their drain ends.
void LoadBalancer::reclaimSoon(Duration delay) {
  loop_.cancel(reclaiming_);
  reclaiming_ = loop_.after(delay, [this, delay] {
    reclaiming_ = 0;
    if (pool_.reclaim() + proxy_.reap() != 0) reclaimSoon(std::min<Duration>(2 * delay, 1s));
  });
}

Reloaded LoadBalancer::reloadOrSay(const std::string& reason, const FileContent& file) try {
  return reload(reason, file);
} catch (const std::exception& e) {
  log::error("config", "reload refused, the running configuration stays", {{"reason", reason}, {"error", e.what()}});
  reloads_failed_.fetch_add(1);
  return {false, {e.what()}};
}

Reloaded LoadBalancer::reloadAndRemember(const std::string& reason, const FileContent& file) {
  const std::uint64_t began_ns = nowNs(), began_unix_ns = unixNs(), before = generation();
  service_manager_.reloading();
  auto reloaded = reloadOrSay(reason, file);
  const std::uint64_t after = generation();
  const char* result = !reloaded.applied ? "failed" : after == before ? "unchanged" : "applied";
  service_manager_.reloaded(sentence(reason, result, reloaded, after));
  const std::lock_guard lock(shown_mutex_);
  last_reload_ = ReloadStatus{result, reason, began_unix_ns, nowNs() - began_ns, after, reloaded.lines};
  return reloaded;
}

// ---- the end -------------------------------------------------------------------------------------------------------

void LoadBalancer::run() { drained_.get_future().wait(); }

bool LoadBalancer::stop() {
  service_manager_.stopAsking();
  watchdog_.waitingFor("a reload under way");
  watcher_->stop();
  watchdog_.waitingFor("workers, checks, sinks and the admin listener");
  bool clean = false;  // also where it cannot be told for want of memory
  loop_.run([&] {
    membership_.stop();
    descriptors_.stop();
    if (!proxy_.stop()) return;
    tellSuccessor();  // for the last time
    forgetSuccessor();
    const std::uint64_t background = nowNs() + ns(config_.runtime.background_timeout);
    const std::uint64_t deadline = stop_deadline_ns_ != 0 ? std::min(stop_deadline_ns_, background) : background;
    monitor_.stop();
    ejector_.stop();
    checker_.reset();
    const bool answered = admin_ == nullptr || admin_->stop(until(deadline));
    sinks_.clear();
    const bool pushed = publisher_.stop(until(deadline));
    pool_.clear();
    cleared_ = true;
    clean = answered && pushed;
  });
  log::info("app", "stopped", {{"pid", ::getpid()}});
  return clean;
}

// ---- reading -------------------------------------------------------------------------------------------------------

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

std::string LoadBalancer::summary() const {
  const std::string sessions = std::to_string(proxy_.sessions()) + " sessions";
  if (stage_.load() == Stage::kGrace) return "stopping, clients are still accepted, " + sessions;
  if (stage_.load() == Stage::kDraining) return "stopping, " + sessions + " left";
  return std::to_string(pool_.eligibleCount()) + " of " + std::to_string(pool_.backends()->size()) +
         " backends eligible, " + sessions;
}

std::vector<ServiceManager::Standing> LoadBalancer::standing(std::uint64_t now_ns) {
  std::vector<ServiceManager::Standing> standing;
  proxy_.look(now_ns, [&](std::uint32_t worker, std::uint64_t since_ns) {
    standing.push_back({"worker-" + std::to_string(worker), since_ns});
  });
  if (const std::uint64_t since_ns = control_pulse_.owesSince(); since_ns != 0) {
    standing.push_back({"control", since_ns});
    return standing;
  }
  control_pulse_.ask(now_ns);
  try {
    loop_.post([this] { control_pulse_.answer(); });
  } catch (const std::bad_alloc&) {
    control_pulse_.answer();  // it was not asked
  }
  return standing;
}

admin::Response LoadBalancer::status() {
  heritage_.awaitLatest();
  StatusInput input;
  std::shared_ptr<const Shown> shown;
  {
    const std::lock_guard lock(shown_mutex_);
    shown = shown_;
    input.last_reload = last_reload_;
    if (parent_.supervisor.exists()) input.supervisor = {::getppid(), failed_upgrades_, upgrade_failure_};
  }
  input.version = LEMONADE_VERSION;
  input.abi = kAbi;
  input.uptime_ns = nowNs() - started_ns_;
  input.pid = ::getpid();
  input.state = stageText();
  input.config_generation = shown->generation;
  input.config_file = shown->config_file;
  input.max_connections = proxy_.admission().limit();
  input.listeners = shown->listeners;
  for (const auto* counters : proxy_.counters())
    if (input.workers.size() < proxy_.serving() || counters->sessions.value() != 0)
      input.workers.push_back({counters->sessions.value(), counters->accepted.value()});
  input.plugins = shown->plugins;
  input.backends = collectBackends(backends(), rates_, nowNs());
  return {200, "application/json", statusJson(input), {}};
}

View::Backends LoadBalancer::backends() const {
  View::Backends backends = *pool_.backends();
  for (auto& backend : pool_.leaving())
    // One that has come back in between is there already.
    if (std::find(backends.begin(), backends.end(), backend) == backends.end()) backends.push_back(std::move(backend));
  return backends;
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
  heritage_.awaitLatest();
  auto rendered = publisher_.render(id, accept);
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
    const std::lock_guard lock(shown_mutex_);
    if (last_reload_) {
      facts.last_reload_failed = last_reload_->result == "failed";
      facts.last_reload_unix_ns = last_reload_->unix_ns;
      facts.last_reload_duration_ns = last_reload_->duration_ns;
    }
  }
  facts.upgrades_completed = totals.upgrades.value();
  facts.upgrades_failed = totals.upgrades_failed.value();
  facts.draining_processes = heritage_.processes();
  facts.draining_sessions = heritage_.sessions();
  facts.mapped_generations = plugin::Image::mapped();
  facts.log_dropped = totals.log_dropped.value();
  facts.health_checks = totals.checks.value();
  facts.health_failures = totals.check_failures.value();
  facts.checker_errors = totals.checker_errors.value();
  facts.checks = checks_.load(std::memory_order_relaxed);
  facts.ejections = totals.ejections.value();
  addProcess(builder, facts);
  auto counters = proxy_.counters();
  counters.push_back(&heritage_.totals().proxy);
  addProxy(builder, counters, proxy_.admission().limit());
  addBackends(builder, backends());
  addPluginMetrics(builder, context_.cells);
}

}  // namespace lemonade::app
