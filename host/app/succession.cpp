// SPDX-License-Identifier: MIT
//
// How a running balancer takes the place of the process before it, and hands over to the one that follows. What cannot
// be had or read is missing then, and nothing else: an upgrade never fails for it.
#include "app/endpoints.h"
#include "app/kernel_forwarding.h"
#include "app/load_balancer.h"
#include "app/managed_pool.h"
#include "app/parent.h"
#include "app/pool_set.h"
#include "app/preparation.h"
#include "balance/pool.h"
#include "base/log.h"
#include "base/nanoseconds.h"
#include "metrics/publisher.h"
#include "observe/events.h"
#include "observe/reloads.h"
#include "proxy/proxy.h"
#include "supervisor/link.h"
#include "upgrade/handing_over.h"
#include "upgrade/heritage.h"
#include "upgrade/totals.h"

#include <poll.h>

#include <utility>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;
constexpr Duration kAnswerWithin = 2s;
constexpr Duration kTellEvery = 1s;
constexpr Duration kYieldWithin = 500ms;

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
      for (auto& strategy : handover->strategies)
        if (strategy.state) handed_states_.insert_or_assign(strategy.pool, std::move(*strategy.state));
      inheritLosses(*handover);
      inheritQuarantine(*handover);
      inheritEvents(*handover);
      handed_overrides_ = handover->overrides;
    }
    upgraded_ = true;
    happened({.kind = EventKind::kUpgraded,
              .text = std::string("this process takes the place of the one before it") +
                      (handover == nullptr ? ", without its state" : "")});
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
        kernel_->predecessorLeft();
        if (left_) endDrain();
        return;
      case supervisor::Received::kMessage:
        if (message.what == kYielded) has_yielded_ = true;
        if (message.what == kGaveWay) kernel_->predecessorLeft();
        if (const auto handover = handoverIn(message)) {
          inheritLosses(*handover.value());
          View::Backends backends;
          for (const auto& pool : pools_->configured()) {
            const auto of_pool = pool->pool().backends();
            backends.insert(backends.end(), of_pool->begin(), of_pool->end());
          }
          heritage_->update(*handover.value(), backends);
          if (!handover.value()->accepting) kernel_->predecessorLeft();
        }
    }
}

// Where it does not answer, some connections are counted twice.
void LoadBalancer::awaitYield() {
  if (!predecessor_ || !kernel_->isStaged() || !supervisor::send(predecessor_.get(), kYield)) return;
  const std::uint64_t until = nowNs() + ns(kYieldWithin);
  for (std::uint64_t now; predecessor_ && !has_yielded_ && (now = nowNs()) < until;) {
    pollfd entry{predecessor_.get(), POLLIN, 0};
    (void)::poll(&entry, 1, static_cast<int>((until - now) / 1'000'000 + 1));
    hearPredecessor();
  }
}

void LoadBalancer::inheritLosses(const Handover& handover) {
  for (const auto& total : handover.sink_totals) publisher_->inherit(total.sink, total.losses);
}

// The supervisor has told of them, too, but for one that came while this process was starting.
void LoadBalancer::inheritQuarantine(const Handover& handover) {
  for (const auto& state : handover.quarantined) {
    Quarantine::Entry entry{{state.plugin, state.version, state.file, state.generation, state.hash},
                            state.function,
                            state.reason,
                            state.since_unix_ns};
    if (!context_.quarantine.inherit(entry)) handed_quarantine_.push_back(std::move(entry));
  }
}

void LoadBalancer::inheritEvents(Handover& handover) {
  Events::Told told;
  for (auto& event : handover.events)
    if (const auto kind = eventKindOf(event.kind))
      told.events.push_back({*kind, std::move(event.text), std::move(event.pool), std::move(event.backend),
                             std::move(event.fields), event.sequence, event.unix_ns});
  for (const auto& [before, newest] : handover.event_spans) told.spans.push_back({before, newest});
  events_->inherit(std::move(told));
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
        if (message.what == kYield) {
          kernel_->yield();
          (void)supervisor::send(successor_.get(), kYielded);
        }
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
  for (const auto& pool : pools_->configured()) pool->tell(handover, !gave_way_);
  if (!gave_way_) tellTimeline(handover);
  (void)tellHandover(successor_.get(), handover);
}

void LoadBalancer::tellTimeline(Handover& handover) const {
  for (const auto& [info, function, reason, since, active] : context_.quarantine.all())
    handover.quarantined.push_back({info.id, info.version, info.file, info.hash, info.number, function, reason, since});
  auto told = events_->told();
  for (auto& event : told.events)
    handover.events.push_back({kEventKinds[static_cast<std::size_t>(event.kind)], std::move(event.text),
                               std::move(event.pool), std::move(event.backend), std::move(event.fields), event.sequence,
                               event.unix_ns});
  for (const auto& [before, newest] : told.spans) handover.event_spans.push_back({before, newest});
}

void LoadBalancer::forgetSuccessor() {
  loop_.cancel(std::exchange(telling_, 0));
  if (successor_) loop_.unwatch(successor_.get());
  successor_.reset();
}

std::uint64_t LoadBalancer::generation() const noexcept { return heritage_->generations() + generation_.load(); }

void LoadBalancer::collect(ProcessTotals& totals) const {
  const auto inherited = heritage_->totals();
  collectListeners(totals.listeners, inherited->listeners);
  collectPools(totals.pools, inherited->pools);
  collectCalls(totals, *inherited);
  addUp(totals);
  set(totals.log_dropped, inherited->log_dropped, log::dropped());
  set(totals.reloads_applied, inherited->reloads_applied, reloads_applied_.load());
  set(totals.reloads_failed, inherited->reloads_failed, reloads_failed_.load());
  set(totals.generations, inherited->generations, generation_.load());
  set(totals.upgrades, inherited->upgrades, 0);
  totals.event_losses.set(eventLosses());
  const std::lock_guard lock(facts_mutex_);
  set(totals.upgrades_failed, inherited->upgrades_failed, failed_upgrades_);
}

// A listener that was removed and has sessions counts for the one that has its name now.
void LoadBalancer::collectListeners(std::list<ListenerTotals>& totals,
                                    const std::list<ListenerTotals>& inherited) const {
  for (const auto& listener : proxy_->allListeners()) {
    auto& to = totalsOf(totals, listener->name()).counters;
    for (const auto* counters : listener->counters()) {
      addTotals(to, *counters);
      to.sessions.add(counters->sessions.value());
    }
    to.full_ns.add(listener->fullNs());
  }
  for (auto& to : totals)
    if (const auto* before = findTotals(inherited, to.name); before != nullptr)
      addTotals(to.counters, before->counters);
}

void LoadBalancer::collectPools(std::list<PoolTotals>& totals, const std::list<PoolTotals>& inherited) const {
  for (const auto& pool : pools_->all()) pool->collect(totalsOf(totals, pool->name()));
  for (auto& to : totals) {
    const auto* before = findTotals(inherited, to.name);
    if (before == nullptr) continue;
    addTotals(to.counters, before->counters);
    add(to.checks, before->checks);
    add(to.check_failures, before->check_failures);
    add(to.checker_errors, before->checker_errors);
    add(to.ejections, before->ejections);
  }
}

}  // namespace lemonade::app
