// SPDX-License-Identifier: MIT
#include "app/managed_pool.h"

#include "app/edges.h"
#include "app/membership.h"
#include "app/overrides.h"
#include "app/own_listeners.h"
#include "app/pick_watch.h"
#include "app/pool_host.h"
#include "app/preparation.h"
#include "app/rebalancing.h"
#include "app/shadowing.h"
#include "balance/pool.h"
#include "base/log.h"
#include "base/nanoseconds.h"
#include "base/seconds.h"
#include "health/ejector.h"
#include "health/monitor.h"
#include "upgrade/heritage.h"
#include "upgrade/totals.h"

#include <lemonade/metrics_sink.h>

#include <algorithm>
#include <new>
#include <set>
#include <utility>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;

constexpr int kRampSteps = 20;
constexpr Duration kShortestRampStep = 100ms;
constexpr Duration kPublishAgain = 20ms;

}  // namespace

ManagedPool::ManagedPool(std::string name, Quiescence& quiescence, std::uint32_t workers, PreparationContext& context,
                         health::Checks& checks, PoolHost& host, Heritage& heritage)
    : name_(std::move(name)),
      loop_(context.loop),
      context_(context),
      host_(host),
      heritage_(heritage),
      pool_(std::make_unique<Pool>(name_, quiescence, workers)),
      shadowing_(std::make_unique<Shadowing>(*pool_)),
      pick_watch_(std::make_unique<PickWatch>(loop_, *pool_)),
      rebalancing_(std::make_unique<Rebalancing>(loop_, *pool_, host)),
      monitor_(std::make_unique<health::Monitor>(
          loop_, checks, [this](const auto& backend) { onChecked(backend); },
          [this](const auto& check) { onCheck(check.backend, check.passed, check.began_ns); })),
      ejector_(std::make_unique<health::Ejector>(loop_, *pool_, [this](const auto& backend) { onFlip(backend); })),
      membership_(std::make_unique<Membership>(loop_, context.resolver, *pool_,
                                               [this](const auto& backends) { onBackends(backends); })),
      overrides_(std::make_unique<Overrides>(
          loop_, name_, [this](const auto& ended) { host_.overrideEnded(ended); }, [this] { publish(); })),
      self_(std::make_shared<ManagedPool*>(this)) {}

ManagedPool::~ManagedPool() = default;

// ---- taking a configuration over -----------------------------------------------------------------------------------

Result<std::shared_ptr<Strategy>> ManagedPool::makeStrategy(std::optional<Strategy::Instance> prepared,
                                                            const config::PluginChoice& choice) {
  const auto& running = pool_->strategy();
  if (!prepared) return running;
  auto made = Strategy::make(std::move(*prepared), pool_->workers());
  if (!made) return made;
  if (running == nullptr) return withHandedState(std::move(made).value(), choice);
  if (auto taken = made.value()->takeOver(*running); !taken) return std::move(taken).error();
  return made;
}

// A strategy that has refused a state must not be used: another one is made then.
Result<std::shared_ptr<Strategy>> ManagedPool::withHandedState(std::shared_ptr<Strategy> made,
                                                               const config::PluginChoice& choice) {
  const auto state = std::exchange(handed_state_, std::nullopt);
  if (!state) return made;
  const auto imported = made->importState(*state);
  if (imported) return made;
  log::warning("app", "the strategy starts without the state of the process before",
               {{"reason", imported.error().message}, {"pool", name_}});
  const auto file = context_.loader->read(choice, plugin::kKindOf<lemonade_strategy_t>);
  if (!file) return file.error();
  std::vector<plugin::OptionProblem> problems;
  auto instance = context_.loader->create<lemonade_strategy_t>(file.value(), choice, problems);
  if (!instance) return Error{problems.empty() ? "strategy " + choice.id + " cannot be made" : problems.front().text};
  return Strategy::make(std::move(*instance), pool_->workers());
}

void ManagedPool::configure(const config::Pool& config, const Resolutions& resolutions,
                            std::shared_ptr<Strategy> strategy, std::optional<Checker> checker) {
  health_ = config.health;
  if (std::exchange(retired_, false)) pool_->comeBack();
  pool_->setRules({health_.panic_threshold, {health_.slow_start, health_.slow_start_aggression}});
  pool_->setStrategy(std::move(strategy));
  auto& settings = pool_->settings();
  settings.connect_timeout_ns.store(ns(config.connect_timeout));
  settings.queue_timeout_ns.store(ns(config.queue_timeout));
  settings.retries.store(config.retries);
  applyEdges(config, settings);
  // Before the backends: the monitor gives new backends their first health.
  monitor_->configure({health_.interval, health_.timeout, health_.rise, health_.fall, health_.fast_interval,
                       health_.down_interval, health_.initial, health_.hasChecker(), routeOf(config)});
  std::set<std::string> ids;
  for (const auto& backend : config.backends) ids.insert(backend.id);
  overrides_->keepOnly(ids);
  membership_->configure(config.backends, resolutions, config.resolve_interval);
  const auto& ejection = config.ejection;
  ejector_->configure({ejection.enabled, ejection.consecutive_failures, ejection.base_time, ejection.max_time,
                       ejection.max_share, ejection.unanswered_timeout, health_.rise, ejection.failing_share,
                       ejection.slow_factor});
  rebalancing_->configure(config);
  checks_.store(health_.hasChecker(), std::memory_order_relaxed);
  if (!health_.hasChecker()) {
    monitor_->setChecker(nullptr);
    checker_.reset();
  } else if (checker) {
    checker_ = std::make_shared<const Checker>(std::move(*checker));
    monitor_->setChecker(checker_);
  }
}

RunningPool ManagedPool::describe() const {
  RunningPool running;
  if (pool_->strategy() == nullptr) return running;
  running.strategy_hash = pool_->strategy()->info().hash;
  running.stands_in_hash = stands_in_hash_;
  // One that is broken is made anew once its content is let go.
  if (checker_ != nullptr && (!checker_->guard().broken() || context_.quarantine.contains(checker_->info().hash)))
    running.checker_hash = checker_->info().hash;
  running.export_state = [this] { return pool_->strategy()->exportState(); };
  if (const auto* shadow = shadowing_->running(); shadow != nullptr) {
    running.shadow_hash = shadow->info().hash;
    running.shadow_backend_options = plugin::OptionSchema::ofBackends(shadow->table(), shadow->info().id);
  }
  running.backend_options = plugin::OptionSchema::ofBackends(pool_->strategy()->table(), pool_->strategy()->info().id);
  return running;
}

bool ManagedPool::dropShadow(const plugin::InstanceInfo& broken) {
  if (!shadowing_->drop(broken)) return false;
  publish();
  return true;
}

const std::string& ManagedPool::lostShadow() const noexcept { return shadowing_->lost(); }

void ManagedPool::addNames(KnownNames& names) const { names.merge(membership_->names()); }

// ---- what operators change while it runs ---------------------------------------------------------------------------

void ManagedPool::inherit(const std::vector<OverrideState>& overrides) { overrides_->inherit(overrides); }

Override ManagedPool::change(const std::shared_ptr<Backend>& backend, Override wanted, Duration lasting) {
  auto made = overrides_->make(backend, std::move(wanted), lasting);
  publish();
  // After the view without it: no worker picks it any more.
  if (made.action == Override::Action::kDrain) host_.drainBackends(*pool_, {backend});
  return made;
}

std::size_t ManagedPool::takeBack(const Backend& backend) {
  const std::size_t taken = overrides_->takeBack(backend);
  if (taken != 0) publish();
  return taken;
}

void ManagedPool::endOverrides() { overrides_->endWithReload(); }

void ManagedPool::endOverridesNow() {
  endOverrides();
  publish();
}

// ---- serving -------------------------------------------------------------------------------------------------------

bool ManagedPool::awaitsFirstChecks() const {
  return health_.initial == config::Initial::kCheck && health_.hasChecker() && !monitor_->allChecked();
}

void ManagedPool::setStarting() { pool_->setStarting(true); }

void ManagedPool::serve() {
  if (publishing_) publish();
  pool_->setStarting(false);
}

// ---- what happens to backends --------------------------------------------------------------------------------------

/// No client is sent back to this process, whatever a name resolves to.
void ManagedPool::markLoops(const Backends& backends) const {
  const OwnListeners own(host_.listeningAddresses());
  for (const auto& backend : backends) {
    const bool loops = own.reachedBy(backend->address());
    if (loops && !backend->loops())
      log::warning("app", "a backend is one of our own listeners, no client is sent there",
                   {{"backend", backend->id()}, {"address", backend->addressText()}, {"pool", name_}});
    backend->setLoops(loops);
  }
}

void ManagedPool::onBackends(const Backends& backends) {
  markLoops(backends);
  overrides_->apply(backends);
  const auto left = pool_->setBackends(backends);
  monitor_->setBackends(backends);
  ejector_->setBackends(backends);
  if (const auto adopted = heritage_.adopt(backends, *monitor_, *ejector_); adopted != 0)
    log::info("app", "took over what the process before knew of its backends",
              {{"backends", adopted}, {"pool", name_}});
  publish();
  // After the view without them: no worker picks them any more.
  if (!left.empty()) host_.drainBackends(*pool_, left);
  for (const auto& backend : left)
    if (backend->active() != 0)
      log::info("app", "a backend drains",
                {{"backend", backend->id()},
                 {"address", backend->addressText()},
                 {"sessions", backend->active()},
                 {"pool", name_}});
}

void ManagedPool::onChecked(const std::shared_ptr<Backend>& backend) {
  if (backend->healthy() && ejector_->forgive(*backend)) return;
  onFlip(backend);
}

void ManagedPool::onCheck(const std::shared_ptr<Backend>& backend, bool passed, std::uint64_t began_ns) {
  ejector_->heardCheck(*backend, passed, began_ns);
  // The last first check may find what the pool has thought anyway.
  if (pool_->settings().awaits_checks.load() && !awaitsFirstChecks()) publishSoon();
  host_.checkEnded();
}

void ManagedPool::onFlip(const std::shared_ptr<Backend>& backend) {
  publishSoon();
  const bool ejected = backend->healthy() && backend->ejected();
  host_.healthChanged({unixNs(), backend->identity(), backend->id(), backend->name(), backend->addressText(),
                       ejected              ? LEMONADE_HEALTH_EJECTED
                       : backend->healthy() ? LEMONADE_HEALTH_UP
                                            : LEMONADE_HEALTH_DOWN,
                       ejected ? backend->ejectionReason() : backend->healthReason()});
  noteFlip(*backend);
  if (backend->fit() || !health_.close_sessions_when_down) return;
  // After the view without the backend, which publishSoon() has posted: no session comes to it later.
  loop_.post([self = self_, backend] {
    if (*self != nullptr) (*self)->host_.endSessionsAt(*(*self)->pool_, backend);
  });
}

void ManagedPool::noteFlip(const Backend& backend) {
  const bool ejected = backend.healthy() && backend.ejected();
  const bool was_ejected = ejected_.erase(backend.identity()) != 0;
  if (ejected) ejected_.insert(backend.identity());
  const bool returned = was_ejected && backend.fit();
  const EventKind kind = ejected             ? EventKind::kBackendEjected
                         : returned          ? EventKind::kBackendReturned
                         : backend.healthy() ? EventKind::kBackendUp
                                             : EventKind::kBackendDown;
  const std::string reason = ejected ? backend.ejectionReason() : backend.healthReason();
  const char* const what = ejected             ? " is ejected"
                           : returned          ? " is back from ejection"
                           : backend.healthy() ? " is up"
                                               : " is down";
  host_.happened({.kind = kind,
                  .text = backend.id() + what + (reason.empty() || returned ? "" : ": " + reason),
                  .pool = name_,
                  .backend = backend.id(),
                  .fields = {{"address", backend.addressText()}, {"name", backend.name()}, {"reason", reason}}});
}

// ---- views ---------------------------------------------------------------------------------------------------------

// Many backends may flip in one turn of the loop; one view serves them all.
void ManagedPool::publishSoon() {
  if (publishing_) return;
  loop_.post([self = self_] {
    if (*self == nullptr) return;
    (*self)->publishing_ = false;
    (*self)->publish();
  });
  publishing_ = true;
}

// A change must reach the workers, also where there is no memory for a view at this moment.
void ManagedPool::publish() try { publishNow(); } catch (const std::bad_alloc&) {
  loop_.cancel(std::exchange(republish_, 0));
  republish_ = loop_.after(kPublishAgain, [this] { publish(); });
}

void ManagedPool::publishNow() {
  if (pool_->strategy() == nullptr) return;  // cleared meanwhile
  loop_.cancel(std::exchange(republish_, 0));
  if (hasEnded()) return;
  const std::uint64_t began_ns = loop_.clock().nowNs();
  pool_->settings().awaits_checks.store(awaitsFirstChecks());  // before the view, which has those that queue look again
  if (pool_->publish(began_ns)) {
    // A large pool takes a while to prepare for: most of the time is left for other things.
    const Duration took(static_cast<Duration::rep>(loop_.clock().nowNs() - began_ns));
    const auto step = std::max<Duration>({health_.slow_start / kRampSteps, kShortestRampStep, 10 * took});
    republish_ = loop_.after(step, [this] { publish(); });
  }
  shadowing_->begin();
  logPanic();
  logWhetherStranded();
  host_.viewPublished();
}

void ManagedPool::logPanic() {
  if (std::exchange(panicking_, pool_->panic()) == pool_->panic()) return;
  panicking_
      ? log::warning("balance", "too few backends are fit: all are used, see health.panic_threshold", {{"pool", name_}})
      : log::info("balance", "enough backends are fit again: only these are used", {{"pool", name_}});
}

void ManagedPool::logWhetherStranded() {
  const bool stranded = pool_->eligibleCount() == 0 && !retired_ && !awaitsFirstChecks();
  if (stranded == (stranded_ns_ != 0)) return;
  const std::uint64_t since = std::exchange(stranded_ns_, stranded ? loop_.clock().nowNs() : 0);
  if (stranded)
    log::error("balance", "no backend is left, clients are turned away",
               {{"backends", pool_->backends()->size()}, {"pool", name_}});
  else
    log::info("balance", "a backend is back, clients are served again",
              {{"after", secondsText(loop_.clock().nowNs() - since)}, {"pool", name_}});
  host_.happened({.kind = stranded ? EventKind::kPoolDown : EventKind::kPoolUp,
                  .text = stranded ? "no backend is left in pool " + name_ : "a backend is back in pool " + name_,
                  .pool = name_});
}

// ---- stopping ------------------------------------------------------------------------------------------------------

void ManagedPool::retire() {
  if (std::exchange(retired_, true)) return;
  overrides_->keepOnly({});
  membership_->configure({}, {}, Duration::max());
}

bool ManagedPool::isUnused() { return retired_ && pool_->leaving().empty() && host_.isUnused(*pool_); }

void ManagedPool::stopResolving() { membership_->stop(); }

void ManagedPool::stopChecking() {
  monitor_->stop();
  ejector_->stop();
  checker_.reset();
}

void ManagedPool::end() {
  if (ended_.exchange(true)) return;
  stopResolving();
  stopChecking();
  overrides_->stop();
  *self_ = nullptr;
  loop_.cancel(std::exchange(republish_, 0));
  shadowing_->end();
  pick_watch_->end();
  rebalancing_->end();
  pool_->clear();
}

std::size_t ManagedPool::reclaim() { return pool_->reclaim(); }

// ---- reading -------------------------------------------------------------------------------------------------------

void ManagedPool::tell(Handover& handover, bool with_strategy) const {
  for (const auto& backend : *pool_->backends()) handover.backends.push_back(stateOf(*backend, *monitor_, *ejector_));
  overrides_->tell(handover.overrides);
  if (!with_strategy || pool_->strategy() == nullptr) return;
  for (auto& [name, targets] : membership_->names()) handover.names.push_back({name, targets});
  handover.strategies.push_back({name_, strategyInfo().id, pool_->strategy()->exportState()});
  if (name_ != Backend::kDefaultPool) return;
  handover.strategy = handover.strategies.back().strategy;
  handover.strategy_state = handover.strategies.back().state;
}

const plugin::InstanceInfo& ManagedPool::strategyInfo() const { return pool_->strategy()->info(); }

bool ManagedPool::checkerIsBroken() const noexcept { return monitor_->standsIn(); }

ManagedPool::Backends ManagedPool::backends() const {
  Backends backends = *pool_->backends();
  for (auto& backend : pool_->leaving())
    // One that has come back in between is there already.
    if (std::find(backends.begin(), backends.end(), backend) == backends.end()) backends.push_back(std::move(backend));
  return backends;
}

void ManagedPool::collect(PoolTotals& totals) const {
  for (const auto* counters : pool_->counters()) {
    addTotals(totals.counters, *counters);
    totals.counters.sessions.add(counters->sessions.value());
    totals.counters.queued.add(counters->queued.value());
  }
  totals.counters.full_ns.add(pool_->fullNs());
  totals.checks.add(monitor_->counters().checks.value());
  totals.check_failures.add(monitor_->counters().failures.value());
  totals.checker_errors.add(monitor_->counters().broken.value());
  totals.ejections.add(ejector_->ejections());
}

}  // namespace lemonade::app
