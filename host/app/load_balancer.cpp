// SPDX-License-Identifier: MIT
//
// Starting, serving and the end; reload.cpp has how a configuration takes effect, answering.cpp what is answered to
// operators, stopping.cpp what a signal begins, succession.cpp what passes between one process and the next, and
// upgrading.cpp what goes on between this process and its supervisor.
#include "app/load_balancer.h"

#include "admin/server.h"
#include "app/configuration_facts.h"
#include "app/kernel_forwarding.h"
#include "app/live.h"
#include "app/log_levels.h"
#include "app/managed_pool.h"
#include "app/parent.h"
#include "app/pool_set.h"
#include "app/preparation.h"
#include "app/token_file.h"
#include "balance/pool.h"
#include "balance/quiescence.h"
#include "base/log.h"
#include "base/nanoseconds.h"
#include "health/checks.h"
#include "metrics/publisher.h"
#include "observe/events.h"
#include "observe/reloads.h"
#include "observe/status.h"
#include "plugin/call_watch.h"
#include "process/descriptor_keeper.h"
#include "process/watchdog.h"
#include "process/worker_count.h"
#include "proxy/proxy.h"
#include "upgrade/heritage.h"
#include "watch/watcher.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;

constexpr Duration kCloseWhenDown = 1s;
constexpr Duration kLimitLook = 250ms;
constexpr Duration kStartMargin = 10s;
constexpr Duration kReclaimAfter = 10ms;
// The events of a process are numbered from the microsecond of its start on, of which numbers in JavaScript are exact.
constexpr std::uint64_t kNsOfSequence = 1'000;

Duration until(std::uint64_t deadline_ns) {
  const std::uint64_t now = nowNs();
  return Duration(static_cast<std::int64_t>(deadline_ns > now ? deadline_ns - now : 0));
}

}  // namespace

LoadBalancer::LoadBalancer(Preparation preparation, config::Input input, PreparationContext& context,
                           Watchdog& watchdog, Parent& parent, ServiceManager& service_manager,
                           std::uint64_t started_ns)
    : preparation_(std::make_unique<Preparation>(std::move(preparation))),
      input_(std::make_unique<const config::Input>(std::move(input))),
      context_(context),
      watchdog_(watchdog),
      parent_(parent),
      service_manager_(service_manager),
      loop_(context.loop),
      started_ns_(started_ns),
      started_unix_ns_(unixNs() - (nowNs() - started_ns)),
      events_(std::make_shared<Events>(started_unix_ns_ / kNsOfSequence)),
      heritage_(std::make_unique<Heritage>(context.cells)),
      quiescence_(std::make_unique<Quiescence>(workerCount(preparation_->config))),
      checks_(std::make_unique<health::Checks>(loop_)),
      pools_(std::make_unique<PoolSet>([this](const auto& name, auto workers) { return makePool(name, workers); })),
      proxy_(std::make_unique<proxy::Proxy>(*quiescence_, proxy::chooseRelay(preparation_->config.relay))),
      kernel_(std::make_unique<KernelForwarding>(loop_, *proxy_, *pools_)),
      descriptors_(
          std::make_unique<DescriptorKeeper>(loop_, context.open_at_start,
                                             DescriptorKeeper::Sessions{[this] { return proxy_->relayedSessions(); },
                                                                        [this](auto limit) {
                                                                          noteDescriptors(false);
                                                                          proxy_->holdTo(limit);
                                                                        },
                                                                        [this] {
                                                                          noteDescriptors(true);
                                                                          proxy_->holdToPresent();
                                                                        }})),
      publisher_(std::make_unique<metrics::Publisher>(
          std::vector<metrics::Collector>{[this](auto& builder) { addFamilies(builder); }},
          [this](std::function<void()> task) { loop_.post(std::move(task)); }, started_ns,
          metrics::RecordSource{[this](bool wanted) { proxy_->wantRecords(wanted); },
                                [this](const auto& visit) { proxy_->forEachRecordLane(visit); }})),
      token_file_(std::make_unique<TokenFile>([this](admin::Tokens tokens) {
        loop_.post([this, tokens = std::move(tokens)]() mutable { useTokens(std::move(tokens)); });
      })),
      log_levels_(std::make_unique<LogLevels>(loop_)),
      recent_(std::make_unique<Recent>(started_ns)),
      live_(std::make_unique<Live>(events_, [this] { return status().body; })),
      facts_(std::make_shared<const ConfigurationFacts>()) {
  // Nothing runs yet.
  config_.pools.clear();
  config_.listeners.clear();
}

LoadBalancer::~LoadBalancer() {
  context_.call_watch->tell(nullptr);
  loop_.run([this] {
    loop_.cancel(reclaiming_);
    loop_.cancel(limit_timer_);
    loop_.cancel(mark_timer_);
    loop_.cancel(stop_timer_);
    loop_.cancel(awaiting_);
    descriptors_->stop();
    log_levels_->stop();
    forgetSuccessor();
    if (predecessor_) loop_.unwatch(predecessor_.get());
    if (parent_.supervisor.exists()) loop_.unwatch(parent_.supervisor.fd());
  });
}

// ---- starting ------------------------------------------------------------------------------------------------------

Status LoadBalancer::start() {
  Status status = Error{"cannot start for want of memory"};
  // Before the admin listener answers, which asks it for reloads.
  watcher_ = std::make_unique<Watcher>(input_->file, preparation_->seen, [this](const auto& reason, const auto& file) {
    return reloadAndRemember(reason, file);
  });
  watcher_->eachTurn([this] { token_file_->look(); });
  happened({.kind = EventKind::kStarted,
            .text = std::string("lemonade ") + LEMONADE_VERSION + " has started",
            .fields = {{"pid", std::to_string(::getpid())}, {"version", LEMONADE_VERSION}}});
  takePlace();
  context_.call_watch->tell([this](const plugin::Fault& fault, const std::string& thread) {
    loop_.post([this, fault, thread] { onBroken(fault, thread); });
  });
  loop_.run([&] {
    hearFirstWord();
    if (status = commitOrSay(*preparation_); !status) return;
    for (auto& entry : std::exchange(handed_quarantine_, {})) quarantineContent(std::move(entry));
    if (predecessor_) loop_.watch(predecessor_.get(), [this] { hearPredecessor(); });
    for (const auto& socket : parent_.inherited.closeRest())
      log::warning("app", "closed a socket that was handed over and is not configured", {{"socket", socket}});
    if (parent_.supervisor.exists()) loop_.watch(parent_.supervisor.fd(), [this] { hearSupervisor(); });
    watchdog_.serve([this](int signal) { loop_.post([this, signal] { onSignal(signal); }); });
    limit_timer_ = loop_.every(kLimitLook, [this] { lookAround(); });
    mark_timer_ =
        loop_.every(Recent::kTick, [this] { recent_->mark(nowNs(), listenersNow(), poolsNow(), backends()); });
    awaitFirstChecks();
  });
  loop_.run([this] {
    handed_overrides_.clear();
    context_.earlier.forget();
  });
  discard(*preparation_, loop_);
  return status;
}

// This comes round so often that it tells how late the control thread is, too.
void LoadBalancer::watchLimits() {
  const std::uint64_t now = nowNs();
  control_lag_.done(now);
  control_lag_.due(now + ns(kLimitLook));
  proxy_->watchLimits(now);
  for (const auto& pool : pools_->all()) pool->pool().watchLimits(now);
  if (checks_->look()) showPlugins();
  publisher_->look();
}

// Where the first checks decide who takes clients, these wait for them in the kernel's queue rather than being told
// that there is nobody. A backend that does not answer its check holds all up for no longer than that may take.
void LoadBalancer::awaitFirstChecks() {
  const auto pools = pools_->configured();
  if (std::none_of(pools.begin(), pools.end(), [](const auto& pool) { return pool->awaitsFirstChecks(); }))
    return serve();
  Duration at_most{};
  for (const auto& pool : config_.pools)
    if (pool.health.initial == config::Initial::kCheck) at_most = std::max(at_most, pool.health.timeout);
  for (const auto& pool : pools) pool->setStarting();
  service_manager_.starting(at_most + kStartMargin);
  awaiting_ = loop_.after(at_most, [this] { serve(); });
}

void LoadBalancer::serve() {
  if (stopping() || serving_) return;
  loop_.cancel(std::exchange(awaiting_, 0));
  std::size_t backends = 0, eligible = 0;
  for (const auto& pool : pools_->configured()) {
    pool->serve();
    backends += pool->pool().backends()->size();
    eligible += pool->pool().eligibleCount();
  }
  awaitYield();
  kernel_->serve(upgraded_ && predecessor_);
  proxy_->start();
  parent_.supervisor.ready();
  serving_ = true;
  // Before the line of the log: who waits for that and asks for what happens from then on does not hear of the start.
  happened({.kind = EventKind::kReady,
            .text = "ready, " + std::to_string(eligible) + " of " + std::to_string(backends) + " backends eligible"});
  log::info("app", "ready",
            {{"backends", backends},
             {"eligible", eligible},
             {"strategy", config_.pools.front().strategy.id},
             {"workers", proxy_->serving()},
             {"pools", config_.pools.size()},
             {"pid", ::getpid()}});
  control_pulse_.begin();
  service_manager_.ready({[this] { return summary(); }, [this](auto now_ns) { return stillThreads(now_ns); }});
}

// ---- what pools ask for --------------------------------------------------------------------------------------------

std::shared_ptr<ManagedPool> LoadBalancer::makePool(const std::string& name, std::uint32_t workers) {
  auto pool = std::make_shared<ManagedPool>(name, *quiescence_, workers, context_, *checks_,
                                            static_cast<PoolHost&>(*this), *heritage_);
  if (auto handed = handed_states_.extract(name); !handed.empty()) pool->inherit(std::move(handed.mapped()));
  pool->inherit(handed_overrides_);
  proxy_->attach(pool->pool());
  return pool;
}

bool LoadBalancer::isUnused(Pool& pool) { return proxy_->isUnused(pool); }

std::vector<Address> LoadBalancer::listeningAddresses() const { return own_addresses_; }

void LoadBalancer::drainBackends(const Pool& pool, const std::vector<std::shared_ptr<Backend>>& left) {
  proxy_->drain(pool, left, proxy::drainTime(nowNs(), config_.runtime.drain_timeout));
}

void LoadBalancer::endSessionsAt(const Pool& pool, const std::shared_ptr<Backend>& backend) {
  proxy_->drain(pool, {backend}, {nowNs(), nowNs() + ns(kCloseWhenDown)}, proxy::Drain::Because::kDown);
}

// In a stop all sessions end anyway.
void LoadBalancer::partSessions(const std::shared_ptr<proxy::PartingOrder>& order) {
  if (!stopping()) proxy_->part(order);
}

void LoadBalancer::healthChanged(const metrics::HealthEvent& event) { publisher_->healthEvent(event); }

void LoadBalancer::viewPublished() {
  service_manager_.changed();
  kernel_->viewPublished();
  proxy_->wake();
  reclaimSoon(kReclaimAfter);
}

void LoadBalancer::checkEnded() {
  if (awaiting_ == 0) return;
  const auto pools = pools_->configured();
  if (std::none_of(pools.begin(), pools.end(), [](const auto& pool) { return pool->awaitsFirstChecks(); })) serve();
}

// Idle workers announce themselves when woken; sessions of backends and workers that left have till their drain ends.
void LoadBalancer::reclaimSoon(Duration delay) {
  loop_.cancel(reclaiming_);
  reclaiming_ = loop_.after(delay, [this, delay] {
    reclaiming_ = 0;
    const std::size_t left = quiescence_->reclaim() + pools_->reclaim() + proxy_->reap();
    if (left == 0) return;
    proxy_->wake();
    reclaimSoon(std::min<Duration>(2 * delay, 1s));
  });
}

// ---- the end -------------------------------------------------------------------------------------------------------

void LoadBalancer::run() { drained_.get_future().wait(); }

bool LoadBalancer::stop() {
  service_manager_.stopAsking();
  events_->close();  // who waits for some is a request under way
  live_->stop();
  watchdog_.waitingFor("a reload under way");
  token_file_->stop();
  watcher_->stop();
  watchdog_.waitingFor("workers, checks, sinks and the admin listener");
  bool clean = false;  // also where it cannot be told for want of memory
  loop_.run([&] {
    pools_->stopResolving();
    descriptors_->stop();
    if (!proxy_->stop()) return;
    kernel_->end();
    tellSuccessor();  // for the last time
    forgetSuccessor();
    cleared_ = true;
    const std::uint64_t background = nowNs() + ns(config_.runtime.background_timeout);
    const std::uint64_t deadline = stop_deadline_ns_ != 0 ? std::min(stop_deadline_ns_, background) : background;
    pools_->stopChecking();
    const bool answered = admin_ == nullptr || admin_->stop(until(deadline));
    sinks_.clear();
    const bool pushed = publisher_->stop(until(deadline));
    const bool checked = checks_->stop(until(deadline));
    pools_->clear();
    (void)quiescence_->reclaim();
    clean = answered && pushed && checked;
  });
  log::info("app", "stopped", {{"pid", ::getpid()}});
  return clean;
}

}  // namespace lemonade::app
