// SPDX-License-Identifier: MIT
#include "app/load_balancer.h"

#include "app/descriptor_limit.h"
#include "app/metrics_sources.h"
#include "base/log.h"

#include <lemonade/plugin.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;

const std::string kAbi = std::to_string(LEMONADE_ABI_MAJOR) + "." + std::to_string(LEMONADE_ABI_MINOR);

std::uint64_t ns(Duration duration) { return static_cast<std::uint64_t>(duration.count()); }

Duration until(std::uint64_t deadline_ns) {
  const std::uint64_t now = nowNs();
  return Duration(static_cast<std::int64_t>(deadline_ns > now ? deadline_ns - now : 0));
}

void applySettings(proxy::Settings& settings, const config::Proxy& config) {
  settings.connect_timeout_ns.store(ns(config.connect_timeout));
  settings.idle_timeout_ns.store(ns(config.idle_timeout));
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(config.tcp_keepalive).count();
  settings.keepalive_seconds.store(static_cast<std::uint32_t>(seconds));
  settings.retries.store(config.retries);
}

}  // namespace

LoadBalancer::LoadBalancer(Preparation preparation, ControlLoop& loop, Resolver& resolver,
                           const plugin::MetricCells& cells, std::uint64_t started_ns)
    : config_(std::move(preparation.config)),
      preparation_(std::move(preparation)),
      loop_(loop),
      cells_(cells),
      started_ns_(started_ns),
      started_unix_ns_(unixNs() - (nowNs() - started_ns)),
      pool_(workerCount(config_)),
      proxy_(pool_, config_.proxy.max_connections),
      monitor_(loop, [this](const auto& backend) { onFlip(backend); }),
      membership_(loop, resolver, pool_.workers(), [this](const auto& backends) { onBackends(backends); }),
      publisher_(std::make_unique<metrics::Publisher>(
          std::vector<metrics::Source>{[this](auto& builder) { addFamilies(builder); }},
          [&loop](std::function<void()> task) { loop.post(std::move(task)); }, started_ns)),
      rates_(config_.metrics.interval, started_ns) {}

LoadBalancer::~LoadBalancer() {
  loop_.cancel(reclaiming_);
  loop_.cancel(drain_timer_);
}

// ---- starting ------------------------------------------------------------------------------------------------------

Status LoadBalancer::start() {
  raiseDescriptorLimit(config_.proxy.max_connections, config_.backends.size());
  Status status = success();
  loop_.run([&] {
    plugins_.push_back({"strategy", preparation_.strategy->info()});
    plugins_.push_back({"health_checker", preparation_.checker->info()});
    auto strategy = Strategy::make(std::move(*preparation_.strategy), pool_.workers());
    if (!strategy) {
      status = std::move(strategy).error();
      return;
    }
    pool_.setStrategy(std::move(strategy).value());
    if (status = bind(); !status) return;
    membership_.configure(config_.backends, preparation_.resolutions);
    startMetrics();
    if (status = startAdmin(); !status) return;
    monitor_.configure({config_.health.interval, config_.health.timeout, config_.health.rise, config_.health.fall});
    monitor_.setChecker(std::make_shared<const plugin::CheckerInstance>(std::move(*preparation_.checker)));
    proxy_.start();
    log::info("app", "ready",
              {{"backends", std::to_string(pool_.backends()->size())},
               {"eligible", std::to_string(pool_.eligibleCount())},
               {"strategy", config_.strategy.id},
               {"workers", std::to_string(pool_.workers())}});
  });
  return status;
}

Status LoadBalancer::bind() {
  applySettings(proxy_.settings(), config_.proxy);
  std::vector<Address> addresses;
  for (const auto& listen : config_.proxy.listen) {
    const auto address = Address::parse(listen.address);
    if (!address) return Error{listen.source.text() + ": listen_address is no numeric address: " + listen.address};
    addresses.push_back(*address);
  }
  if (auto bound = proxy_.listen(addresses, config_.proxy.backlog); !bound) return bound;
  for (const auto& listener : proxy_.listeners()) addresses_.push_back(listener.address().text());
  return success();
}

void LoadBalancer::startMetrics() {
  std::vector<metrics::SinkHandle> sinks;
  for (auto& sink : preparation_.sinks) {
    plugins_.push_back({"metrics_sink", sink.info()});
    sinks.push_back(std::make_shared<plugin::SinkInstance>(std::move(sink)));
  }
  preparation_.sinks.clear();
  publisher_->configure({config_.metrics.interval, config_.runtime.metrics_cap, config_.runtime.health_cap},
                        std::move(sinks));
}

Status LoadBalancer::startAdmin() {
  if (!config_.admin) return success();
  addRoutes();
  return admin_.start(config_.admin->address);
}

void LoadBalancer::addRoutes() {
  admin_.handle("GET", "/metrics", [this](const auto& request) { return metrics("", request.accept); });
  admin_.handle("GET", "/metrics/*", [this](const auto& request) {
    return metrics(request.path.substr(std::strlen("/metrics/")), request.accept);
  });
  admin_.handle("GET", "/healthz", [](const auto&) { return admin::Response{200, "text/plain", "ok\n", {}}; });
  admin_.handle("GET", "/readyz", [this](const auto&) {
    if (draining_.load()) return admin::Response{503, "text/plain", "draining\n", {}};
    if (pool_.eligibleCount() == 0) return admin::Response{503, "text/plain", "no backend is eligible\n", {}};
    return admin::Response{200, "text/plain", "ready\n", {}};
  });
  admin_.handle("GET", "/api/v1/status", [this](const auto&) { return status(); });
}

// ---- changing ------------------------------------------------------------------------------------------------------

void LoadBalancer::onBackends(const View::Backends& backends) {
  pool_.setBackends(backends);
  monitor_.setBackends(backends);
  publish();
}

void LoadBalancer::onFlip(const std::shared_ptr<Backend>& backend) {
  publishSoon();
  publisher_->healthEvent({unixNs(), backend->identity(), backend->id(), backend->name(), backend->addressText(),
                           backend->healthy(), backend->healthReason()});
}

// Many backends may flip in one turn of the loop; one view serves them all.
void LoadBalancer::publishSoon() {
  if (publishing_) return;
  publishing_ = true;
  loop_.post([this] {
    publishing_ = false;
    publish();
  });
}

void LoadBalancer::publish() {
  pool_.publish();
  proxy_.wake();
  reclaimSoon(10ms);
}

// Idle workers announce themselves when woken; sessions of backends that left may take as long as they like.
void LoadBalancer::reclaimSoon(Duration delay) {
  loop_.cancel(reclaiming_);
  reclaiming_ = loop_.after(delay, [this, delay] {
    reclaiming_ = 0;
    if (pool_.reclaim() != 0) reclaimSoon(std::min<Duration>(2 * delay, 1s));
  });
}

// ---- stopping ------------------------------------------------------------------------------------------------------

void LoadBalancer::onSignal(int signal) {
  const std::string name = std::string("SIG") + ::sigabbrev_np(signal);
  if (!draining_.exchange(true)) return beginDrain(name.c_str());
  log::warning("app", "stopping at once", {{"signal", name}, {"sessions", std::to_string(proxy_.sessions())}});
  endDrain();
}

void LoadBalancer::beginDrain(const char* signal) {
  log::info("app", "stopping", {{"signal", signal}, {"sessions", std::to_string(proxy_.sessions())}});
  stop_deadline_ns_ = nowNs() + ns(config_.runtime.accept_timeout);
  const Duration patience = std::min(config_.runtime.drain_timeout, config_.runtime.accept_timeout);
  drain_timer_ = loop_.after(patience, [this] {
    log::warning("app", "the drain timeout is over, closing what is left",
                 {{"sessions", std::to_string(proxy_.sessions())}});
    endDrain();
  });
  proxy_.drain([this] { loop_.post([this] { endDrain(); }); });
}

void LoadBalancer::endDrain() {
  if (std::exchange(ended_, true)) return;
  loop_.cancel(drain_timer_);
  drained_.set_value();
}

void LoadBalancer::run() { drained_.get_future().wait(); }

bool LoadBalancer::stop() {
  proxy_.stop();
  const std::uint64_t background = nowNs() + ns(config_.runtime.background_timeout);
  const std::uint64_t deadline = stop_deadline_ns_ != 0 ? std::min(stop_deadline_ns_, background) : background;
  loop_.run([&] {
    monitor_.stop();
    publisher_->stop(until(deadline));
    admin_.stop(until(deadline));
    pool_.reclaim();
  });
  log::info("app", "stopped");
  return nowNs() < deadline;
}

// ---- reading -------------------------------------------------------------------------------------------------------

admin::Response LoadBalancer::status() {
  StatusInput input;
  input.version = LEMONADE_VERSION;
  input.abi = kAbi;
  input.uptime_ns = nowNs() - started_ns_;
  input.pid = ::getpid();
  input.state = draining_.load() ? "draining" : "running";
  input.config_file = config_.file;
  input.max_connections = proxy_.admission().limit();
  input.listeners = addresses_;
  for (const auto* counters : proxy_.counters())
    input.workers.push_back({counters->sessions.value(), counters->accepted.value()});
  input.plugins = plugins_;
  input.backends = collectBackends(*pool_.backends(), rates_, nowNs());
  return {200, "application/json", statusJson(input), {}};
}

admin::Response LoadBalancer::metrics(const std::string& id, const std::string& accept) {
  auto rendered = publisher_->render(id, accept);
  if (!rendered)
    return admin::errorResponse(404, id.empty() ? "no sink answers here; name \"prometheus\" in [metrics] sinks"
                                                : "no sink \"" + id + "\" answers here");
  if (!*rendered) return admin::errorResponse(500, rendered->error().message);
  return {200, std::move(rendered->value().content_type), std::move(rendered->value().body), {}};
}

void LoadBalancer::addFamilies(metrics::SnapshotBuilder& builder) const {
  ProcessFacts facts;
  facts.version = LEMONADE_VERSION;
  facts.abi = kAbi;
  facts.started_unix_ns = started_unix_ns_;
  facts.uptime_ns = nowNs() - started_ns_;
  facts.log_dropped = log::dropped();
  facts.health_checks = monitor_.counters().checks.value();
  facts.health_failures = monitor_.counters().failures.value();
  addProcess(builder, facts);
  addProxy(builder, proxy_.counters(), proxy_.admission().limit());
  addBackends(builder, *pool_.backends());
  addPluginMetrics(builder, cells_);
}

}  // namespace lemonade::app
