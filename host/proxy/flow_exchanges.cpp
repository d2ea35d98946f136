// SPDX-License-Identifier: MIT
#include "proxy/flow_exchanges.h"

#include <new>
#include <utility>

namespace lemonade::proxy {

void FlowExchanges::readAnswers(kernel::ExchangeTimes& times, const FlowPlan& plan, FlowTrials& trials) noexcept {
  times.read([&](const kernel::ExchangeTimes::Exchange& exchange) {
    tellAnswer(plan, exchange);
    if (!trials.empty()) trials.answered(exchange.flow, exchange.answered_ns - exchange.started_ns);
  });
}

bool FlowExchanges::look(kernel::ExchangeTimes& times, const FlowPlan& plan, FlowTrials& trials,
                         std::uint64_t now) noexcept try {
  readAnswers(times, plan, trials);
  trials.look(times, now);
  bool stirs = false;
  for (const auto& [slot, place] : plan.places) {
    const auto owed = times.owed(slot, now);
    auto& told = told_.try_emplace(slot, Told{place.backend, owed.asked}).first->second;
    if (told.backend != place.backend) {  // another one has its number now
      takeBack(told);
      told = {place.backend, owed.asked};
    }
    stirs = tellOwed(told, owed, now) || stirs;
  }
  for (auto next = told_.begin(); told_.size() != plan.places.size() && next != told_.end();) {
    const auto one = next++;
    if (plan.places.contains(one->first)) continue;
    takeBack(one->second);
    told_.erase(one);
  }
  return stirs;
} catch (const std::bad_alloc&) {
  return true;  // the next look tells it
}

void FlowExchanges::tellAnswer(const FlowPlan& plan, const kernel::ExchangeTimes::Exchange& exchange) noexcept {
  const auto place = plan.places.find(exchange.slot);
  if (place == plan.places.end()) return;
  Backend& backend = *place->second.backend;
  feedback::answered(backend, exchange.started_ns, exchange.answered_ns);
  feedback::forgetDoubts(backend);
  auto& counters = backend.counters(worker_);
  counters.exchanges.add();
  counters.exchange_time.record(exchange.answered_ns - exchange.started_ns);
  if (const auto told = told_.find(exchange.slot); told != told_.end()) told->second.answered = true;
}

/// True where something was asked since the last look, or waits.
bool FlowExchanges::tellOwed(Told& told, const kernel::ExchangeTimes::Owed& owed, std::uint64_t now) const noexcept {
  const std::uint64_t since = owed.waiting == 0 ? now : now - owed.age_sum_ns / owed.waiting;
  const feedback::Owed now_owed{owed.waiting, now / 1000 * owed.waiting - owed.age_sum_ns / 1000};
  feedback::owes(*told.backend, now_owed, told.owed, since);
  const std::uint32_t asked = owed.asked - told.asked;
  if (!told.answered && asked != 0) feedback::askedInVain(*told.backend, asked, since);
  // The same number waits, all of whom had asked before, and they wait since later, by more than two clocks of
  // different steps disagree: somebody has said more.
  const bool more = asked == 0 && owed.waiting != 0 && owed.waiting == told.owed.count &&
                    now_owed.since_sum_us > told.owed.since_sum_us + 3 * owed.waiting;
  if (!told.answered && more) feedback::askedAnew(*told.backend, owed.waiting == 1 ? since : now);
  const bool stirs = asked != 0 || told.answered || owed.waiting != 0;
  told.asked = owed.asked;
  told.owed = now_owed;
  told.answered = false;
  return stirs;
}

void FlowExchanges::takeBack(Told& told) noexcept {
  feedback::owes(*told.backend, {}, std::exchange(told.owed, {}), 0);
}

void FlowExchanges::takeBack() noexcept {
  for (auto& [slot, told] : told_) takeBack(told);
  told_.clear();
}

}  // namespace lemonade::proxy
