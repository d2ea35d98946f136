// SPDX-License-Identifier: MIT
#include "upgrade/heritage.h"

#include "balance/feedback.h"
#include "upgrade/totals.h"

#include <chrono>
#include <utility>

namespace lemonade {

namespace {

using namespace std::chrono_literals;
constexpr Duration kSettle = 3s;

void adoptStatistics(Backend& backend, const BackendState& state) {
  using feedback::detail::store;
  auto& stats = backend.stats();
  store(stats.connect_ewma_ns, state.connect_ewma_ns);
  store(stats.exchange_ewma_ns, state.exchange_ewma_ns);
  store(stats.error_rate, state.error_rate);
  store(stats.fail_streak, state.fail_streak);
  store(stats.picks, state.picks);
  store(stats.failed_at_ns, state.failed_at_ns);
  store(stats.sampled_at_ns, state.sampled_at_ns);
  store(backend.sampleTimes().connect_ns, state.connect_sampled_ns);
  store(backend.sampleTimes().exchange_ns, state.exchange_sampled_ns);
  feedback::setSpeed(backend, state.speed);
  feedback::setDoubts(backend, state.doubts);
  if (state.last_failure <= static_cast<std::uint32_t>(Backend::Failure::kClosed))
    backend.setLastFailure(static_cast<Backend::Failure>(state.last_failure));
}

}  // namespace

void Heritage::begin(std::unique_ptr<Handover> handover) {
  settles_ns_.store(nowNs() + static_cast<std::uint64_t>(kSettle.count()));
  if (handover == nullptr) {
    auto totals = std::make_shared<ProcessTotals>();
    totals->upgrades.set(1);
    return setTotals(std::move(totals));
  }
  take(*handover);
  for (auto& state : handover->backends) states_.insert_or_assign(state.identity, std::move(state));
}

std::size_t Heritage::adopt(const View::Backends& backends, health::Monitor& monitor, health::Ejector& ejector) {
  std::size_t adopted = 0;
  if (states_.empty()) return adopted;
  for (const auto& backend : backends) {
    const auto known = backend->resolved() ? states_.extract(backend->identity()) : decltype(states_)::node_type();
    if (known.empty()) continue;
    const BackendState& state = known.mapped();
    if (state.checked) {
      backend->inheritHealth(state.healthy, state.reason, state.degraded, state.since_unix_ns);
      monitor.resume(*backend);
    }
    adoptStatistics(*backend, state);
    ejector.resume(*backend, state.standing);
    if (state.ramp_began_ns != 0) backend->ramp().resume(state.ramp_began_ns);
    assignTotals(backend->inherited(), *state.totals);
    ++adopted;
  }
  return adopted;
}

void Heritage::update(const Handover& handover, const View::Backends& backends) {
  take(handover);
  std::unordered_map<std::uint64_t, Backend*> known;
  for (const auto& backend : backends) known.emplace(backend->identity(), backend.get());
  for (const auto& state : handover.backends)
    if (const auto found = known.find(state.identity); found != known.end())
      assignTotals(found->second->inherited(), *state.totals);
  if (!handover.accepting) settle();
}

void Heritage::end() {
  processes_.store(0, std::memory_order_relaxed);
  sessions_.store(0, std::memory_order_relaxed);
  settle();
}

void Heritage::awaitLatest() const {
  const std::uint64_t until = settles_ns_.load(), now = nowNs();
  if (until > now) (void)is_settled_.wait_for(Duration(static_cast<Duration::rep>(until - now)));
}

std::shared_ptr<const ProcessTotals> Heritage::totals() const {
  const std::lock_guard lock(mutex_);
  return totals_;
}

void Heritage::setTotals(std::shared_ptr<const ProcessTotals> totals) {
  generations_.store(totals->generations.value(), std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  totals_ = std::move(totals);
}

void Heritage::take(const Handover& handover) {
  auto totals = std::make_shared<ProcessTotals>();
  for (const auto& listener : handover.totals.listeners)
    assignTotals(totalsOf(totals->listeners, listener.name).counters, listener.counters);
  for (const auto& pool : handover.totals.pools) {
    auto& to = totalsOf(totals->pools, pool.name);
    assignTotals(to.counters, pool.counters);
    assign(to.checks, pool.checks);
    assign(to.check_failures, pool.check_failures);
    assign(to.checker_errors, pool.checker_errors);
    assign(to.ejections, pool.ejections);
  }
  for (const auto& [name, total] : kProcessTotals) assign((*totals).*total, handover.totals.*total);
  for (auto list : {&ProcessTotals::plugin_faults, &ProcessTotals::slow_calls})
    for (const auto& [plugin, function, kind, count] : handover.totals.*list)
      addCalls((*totals).*list, plugin, function, kind, count.value());
  totals->upgrades.add(1);
  setTotals(std::move(totals));
  for (const auto& total : handover.plugin_totals) cells_.inherit(total.plugin, total.name, total.value);
  processes_.store(handover.processes, std::memory_order_relaxed);
  sessions_.store(handover.sessions, std::memory_order_relaxed);
}

void Heritage::settle() {
  if (settles_ns_.exchange(0) != 0) settled_.set_value();
}

BackendState stateOf(Backend& backend, const health::Monitor& monitor, const health::Ejector& ejector) {
  using feedback::detail::load;
  const auto& stats = backend.stats();
  BackendState state;
  state.identity = backend.identity();
  state.checked = monitor.checked(backend);
  state.healthy = backend.healthy();
  state.degraded = backend.degraded();
  state.reason = backend.healthReason();
  state.since_unix_ns = backend.healthSinceUnixNs();
  state.connect_ewma_ns = load(stats.connect_ewma_ns);
  state.exchange_ewma_ns = load(stats.exchange_ewma_ns);
  state.error_rate = load(stats.error_rate);
  state.fail_streak = load(stats.fail_streak);
  state.doubts = feedback::doubts(backend);
  state.last_failure = static_cast<std::uint32_t>(backend.lastFailure());
  state.picks = load(stats.picks);
  state.failed_at_ns = load(stats.failed_at_ns);
  state.sampled_at_ns = load(stats.sampled_at_ns);
  state.connect_sampled_ns = load(backend.sampleTimes().connect_ns);
  state.exchange_sampled_ns = load(backend.sampleTimes().exchange_ns);
  state.speed = feedback::speedOf(backend);
  state.standing = ejector.standing(backend);
  state.ramp_began_ns = backend.ramp().beganNs();
  backend.forEachCounters([&](const BackendCounters& counters) { addTotals(*state.totals, counters); });
  return state;
}

}  // namespace lemonade
