// SPDX-License-Identifier: MIT
//
// How a running balancer takes the place of the process before it, and hands over to the one that follows. What cannot
// be had or read is missing then, and nothing else: an upgrade never fails for it.
#include "app/endpoints.h"
#include "app/load_balancer.h"
#include "app/managed_pool.h"
#include "app/parent.h"
#include "app/preparation.h"
#include "balance/pool.h"
#include "base/log.h"
#include "metrics/publisher.h"
#include "proxy/proxy.h"
#include "supervisor/link.h"
#include "upgrade/handing_over.h"
#include "upgrade/heritage.h"
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
      pool_->inherit(std::move(handover->strategy_state));
      inheritLosses(*handover);
    }
    heritage_->begin(std::move(handover));
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
        heritage_->end();
        if (left_) endDrain();
        return;
      case supervisor::Received::kMessage:
        if (const auto handover = handoverIn(message)) {
          inheritLosses(*handover.value());
          heritage_->update(*handover.value(), *pool_->pool().backends());
        }
    }
}

void LoadBalancer::inheritLosses(const Handover& handover) {
  for (const auto& total : handover.sink_totals) publisher_->inherit(total.sink, total.losses);
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
  handover.processes = 1 + heritage_->processes();
  handover.sessions = proxy_->sessions() + heritage_->sessions();
  collect(handover.totals);
  context_.cells.forEach([&](const auto& metric) {
    if (metric.type == LEMONADE_METRIC_COUNTER)
      handover.plugin_totals.push_back({metric.plugin, metric.name, metric.value()});
  });
  for (const auto& [sink, losses] : publisher_->losses()) handover.sink_totals.push_back({sink, losses});
  pool_->tell(handover, !gave_way_);
  (void)tellHandover(successor_.get(), handover);
}

void LoadBalancer::forgetSuccessor() {
  loop_.cancel(std::exchange(telling_, 0));
  if (successor_) loop_.unwatch(successor_.get());
  successor_.reset();
}

std::uint64_t LoadBalancer::generation() const noexcept {
  return heritage_->totals().generations.value() + generation_.load();
}

void LoadBalancer::collect(ProcessTotals& totals) const {
  const auto& inherited = heritage_->totals();
  assignTotals(totals.proxy.listeners, inherited.proxy.listeners);
  assignTotals(totals.proxy.pools, inherited.proxy.pools);
  for (const auto& listener : proxy_->allListeners())
    for (const auto* counters : listener->counters()) addTotals(totals.proxy.listeners, *counters);
  for (const auto* counters : pool_->pool().counters()) addTotals(totals.proxy.pools, *counters);
  set(totals.checks, inherited.checks, 0);
  set(totals.check_failures, inherited.check_failures, 0);
  set(totals.checker_errors, inherited.checker_errors, 0);
  set(totals.ejections, inherited.ejections, 0);
  pool_->collect(totals);
  set(totals.log_dropped, inherited.log_dropped, log::dropped());
  set(totals.reloads_applied, inherited.reloads_applied, reloads_applied_.load());
  set(totals.reloads_failed, inherited.reloads_failed, reloads_failed_.load());
  set(totals.generations, inherited.generations, generation_.load());
  set(totals.upgrades, inherited.upgrades, 0);
  const std::lock_guard lock(facts_mutex_);
  set(totals.upgrades_failed, inherited.upgrades_failed, failed_upgrades_);
}

}  // namespace lemonade::app
