// SPDX-License-Identifier: MIT
//
// How a running balancer takes the place of the process before it, and hands over to the one that follows. What cannot
// be had or read is missing then, and nothing else: an upgrade never fails for it.
#include "app/endpoints.h"
#include "app/load_balancer.h"
#include "base/log.h"
#include "supervisor/link.h"
#include "upgrade/handing_over.h"
#include "upgrade/totals.h"

#include <utility>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;
constexpr Duration kAnswerWithin = 2s;
constexpr Duration kTellEvery = 1s;

void set(Counter& total, const Counter& inherited, std::uint64_t own) { total.set(inherited.value() + own); }

}  // namespace

// ---- from the process before ---------------------------------------------------------------------------------------

// Before the first commit, and not on the control thread: it waits.
void LoadBalancer::takePlace() {
  predecessor_ = parent_.inherited.take(supervisor::kPredecessorName);
  if (!predecessor_) return;
  auto asked = askForHandover(predecessor_.get(), kAnswerWithin);
  std::unique_ptr<Handover> handover;
  if (asked)
    handover = std::move(asked).value();
  else
    log::warning("app", "the state of the process before cannot be had, starting without it",
                 {{"reason", asked.error().message}});
  if (handover != nullptr) useKnownNames(*handover);
  loop_.run([&] {
    if (handover != nullptr) {
      handed_state_ = std::move(handover->strategy_state);
      inheritLosses(*handover);
    }
    heritage_.begin(std::move(handover));
  });
}

// A name server that is in trouble just now takes no backend away that the process before still reached.
void LoadBalancer::useKnownNames(const Handover& handover) {
  for (const auto& [name, targets] : handover.names) {
    const auto found = preparation_->resolutions.find(name);
    const bool resolved = found != preparation_->resolutions.end() && found->second.ok();
    if (resolved || targets.empty()) continue;
    preparation_->resolutions[name] = {Resolution::Outcome::kFound, targets, {}, {}};
    log::warning("resolve", "a name is used as the process before knew it",
                 {{"name", name}, {"in_use", textOf(targets)}});
  }
}

void LoadBalancer::hearPredecessor() {
  supervisor::Message message;
  for (;;) switch (supervisor::receive(predecessor_.get(), message)) {
      case supervisor::Received::kNothing:
        return;
      case supervisor::Received::kEnd:
        loop_.unwatch(predecessor_.get());
        predecessor_.reset();
        heritage_.end();
        if (left_) endDrain();
        return;
      case supervisor::Received::kMessage:
        if (const auto handover = handoverIn(message)) {
          inheritLosses(*handover.value());
          heritage_.update(*handover.value(), *pool_.backends());
        }
    }
}

void LoadBalancer::inheritLosses(const Handover& handover) {
  for (const auto& total : handover.sink_totals) publisher_.inherit(total.sink, total.losses);
}

void LoadBalancer::adoptBackends(const View::Backends& backends) {
  if (const auto adopted = heritage_.adopt(backends, monitor_, ejector_); adopted != 0)
    log::info("app", "took over what the process before knew of its backends", {{"backends", adopted}});
}

// An instance that has refused a state must not be used: then another one is made.
Result<std::shared_ptr<Strategy>> LoadBalancer::withHandedState(std::shared_ptr<Strategy> made,
                                                                const config::PluginChoice& choice) {
  const auto state = std::exchange(handed_state_, std::nullopt);
  if (!state) return made;
  const auto imported = made->importState(*state);
  if (imported) return made;
  log::warning("app", "the strategy starts without the state of the process before",
               {{"reason", imported.error().message}});
  const auto file = context_.loader->read(choice, LEMONADE_KIND_STRATEGY);
  if (!file) return file.error();
  std::vector<plugin::OptionProblem> problems;
  auto instance = context_.loader->strategy(file.value(), choice, problems);
  if (!instance) return Error{problems.empty() ? "strategy " + choice.id + " cannot be made" : problems.front().text};
  return Strategy::make(std::move(*instance), pool_.workers());
}

// ---- to the process that follows -----------------------------------------------------------------------------------

void LoadBalancer::handOver(Fd channel) {
  forgetSuccessor();
  successor_ = std::move(channel);
  loop_.watch(successor_.get(), [this] { hearSuccessor(); });
}

void LoadBalancer::hearSuccessor() {
  supervisor::Message message;
  for (;;) switch (supervisor::receive(successor_.get(), message)) {
      case supervisor::Received::kNothing:
        return;
      case supervisor::Received::kEnd:
        return forgetSuccessor();
      case supervisor::Received::kMessage:
        if (message.what != kAsk || telling_ != 0) continue;
        tellSuccessor();
        telling_ = loop_.every(kTellEvery, [this] { tellSuccessor(); });
    }
}

void LoadBalancer::tellSuccessor() {
  if (!successor_) return;
  Handover handover;
  handover.accepting = !gave_way_;
  handover.processes = 1 + heritage_.processes();
  handover.sessions = proxy_.sessions() + heritage_.sessions();
  collect(handover.totals);
  context_.cells.forEach([&](const auto& metric) {
    if (metric.type == LEMONADE_METRIC_COUNTER)
      handover.plugin_totals.push_back({metric.plugin, metric.name, metric.value()});
  });
  for (const auto& [sink, losses] : publisher_.losses()) handover.sink_totals.push_back({sink, losses});
  for (const auto& backend : *pool_.backends()) handover.backends.push_back(stateOf(*backend, monitor_, ejector_));
  if (!gave_way_ && pool_.strategy() != nullptr) {
    for (auto& [name, targets] : membership_.names()) handover.names.push_back({name, targets});
    handover.strategy = pool_.strategy()->info().id;
    handover.strategy_state = pool_.strategy()->exportState();
  }
  (void)tellHandover(successor_.get(), handover);
}

void LoadBalancer::forgetSuccessor() {
  loop_.cancel(std::exchange(telling_, 0));
  if (successor_) loop_.unwatch(successor_.get());
  successor_.reset();
}

void LoadBalancer::collect(ProcessTotals& totals) const {
  const auto& inherited = heritage_.totals();
  assignTotals(totals.proxy, inherited.proxy);
  for (const auto* counters : proxy_.counters()) addTotals(totals.proxy, *counters);
  set(totals.checks, inherited.checks, monitor_.counters().checks.value());
  set(totals.check_failures, inherited.check_failures, monitor_.counters().failures.value());
  set(totals.checker_errors, inherited.checker_errors, monitor_.counters().broken.value());
  set(totals.ejections, inherited.ejections, ejector_.ejections());
  set(totals.log_dropped, inherited.log_dropped, log::dropped());
  set(totals.reloads_applied, inherited.reloads_applied, reloads_applied_.load());
  set(totals.reloads_failed, inherited.reloads_failed, reloads_failed_.load());
  set(totals.generations, inherited.generations, generation_.load());
  set(totals.upgrades, inherited.upgrades, 0);
  const std::lock_guard lock(shown_mutex_);
  set(totals.upgrades_failed, inherited.upgrades_failed, failed_upgrades_);
}

}  // namespace lemonade::app
