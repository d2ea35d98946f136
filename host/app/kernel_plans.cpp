// SPDX-License-Identifier: MIT
#include "app/kernel_plans.h"

#include "base/log.h"

#include <algorithm>
#include <set>
#include <utility>

namespace lemonade::app {

namespace {

bool keepsSource(const proxy::Listener& listener) {
  return listener.config()->forward_source == config::ForwardSource::kKeep;
}

/// Those that may be picked, as far as the table has them: what it goes by where nobody is asked.
std::vector<kernel::TablePlan::Choice> choicesOf(const Pool& pool, const proxy::FlowPlan& flows) {
  std::vector<kernel::TablePlan::Choice> choices;
  const View* view = pool.view();
  if (view == nullptr || view->eligibleCount() == 0) return choices;
  for (const auto& tier : view->tiers()) {
    const auto& backends = tier.get();
    for (std::uint32_t i = 0; i < backends.eligible_count; ++i) {
      const std::uint32_t index = backends.eligible[i];
      if (const std::uint32_t slot = flows.slotOf(view->backend(index)); slot != 0)
        choices.push_back({slot, backends.backends[index].effective_weight});
    }
    if (!choices.empty()) break;  // the tiers that stand by are for when there is nobody here
  }
  return choices;
}

}  // namespace

void KernelPlans::inherit(const std::vector<kernel::TablePlan::Backend>& backends) {
  for (const auto& backend : backends) {
    if (backend.slot < kernel::kFirstSlot || backend.slot > kernel::kLastSlot || taken_.test(backend.slot)) continue;
    if (slots_.emplace(backend.identity, backend.slot).second) taken_.set(backend.slot);
    next_slot_ = std::max(next_slot_, backend.slot % kernel::kLastSlot + 1);
  }
}

std::shared_ptr<proxy::FlowPlan> KernelPlans::flows(std::uint16_t tag, const Listeners& listeners, const Pools& pools) {
  auto plan = std::make_shared<proxy::FlowPlan>();
  plan->tag = tag;
  leaving_ = false;
  std::set<const Pool*> used;
  for (const auto& listener : listeners) {
    if (!listener->isForwardedByKernel()) continue;
    used.insert(&listener->pool());
    for (const auto& socket : listener->sockets())
      plan->entrances.push_back({socket->address(), listener, keepsSource(*listener)});
  }
  for (const auto& pool : pools) addPool(pool, used.contains(pool.get()), *plan);
  return plan;
}

// Of pools to which no such listener leads any more, and of backends that leave, those that have sessions are in it,
// too.
void KernelPlans::addPool(const std::shared_ptr<Pool>& pool, bool used, proxy::FlowPlan& plan) {
  const auto add = [&](const std::shared_ptr<Backend>& backend, bool leaves) {
    if (!backend->resolved() || backend->address().isUnix()) return;
    if (leaves && !(slots_.contains(backend->identity()) && backend->active() != 0)) return;
    const std::uint32_t slot = slotOf(*backend);
    if (slot == 0) return;
    leaving_ = leaving_ || leaves;
    plan.places[slot] = {backend, pool};
    plan.slots[backend.get()] = slot;
  };
  for (const auto& backend : *pool->backends()) add(backend, !used);
  for (const auto& backend : pool->leaving()) add(backend, true);
}

/// 0 where the table has no more room.
std::uint32_t KernelPlans::slotOf(const Backend& backend) {
  if (const auto known = slots_.find(backend.identity()); known != slots_.end()) return known->second;
  for (std::uint32_t n = 0; n < kernel::kLastSlot; ++n) {
    const std::uint32_t slot = next_slot_;
    next_slot_ = next_slot_ % kernel::kLastSlot + 1;
    if (taken_.test(slot) || avoided_.test(slot)) continue;
    slots_.emplace(backend.identity(), slot);
    taken_.set(slot);
    return slot;
  }
  log::error("kernel", "the table has no room for another backend", {{"backend", backend.id()}});
  return 0;
}

// A number that is free again is given to another backend as late as can be: entries of conntrack may still name it.
void KernelPlans::settle(const proxy::FlowPlan& flows) {
  std::erase_if(slots_, [&](const auto& one) {
    if (flows.places.contains(one.second)) return false;
    taken_.reset(one.second);
    return true;
  });
}

kernel::TablePlan KernelPlans::table(const proxy::FlowPlan& flows, const Listeners& listeners, std::uint16_t queue) {
  kernel::TablePlan plan;
  plan.tag = flows.tag;
  plan.queue = queue;
  for (const auto& [slot, place] : flows.places)
    plan.backends.push_back(
        {slot, place.backend->address(), place.pool->name() + "/" + place.backend->id(), place.backend->identity()});
  std::sort(plan.backends.begin(), plan.backends.end(),
            [](const auto& one, const auto& other) { return one.slot < other.slot; });
  std::uint32_t number = 0;
  for (const auto& listener : listeners) {
    if (!listener->isForwardedByKernel()) continue;
    kernel::TablePlan::Listener entrance;
    entrance.number = ++number;
    for (const auto& socket : listener->sockets()) entrance.addresses.push_back(socket->address());
    entrance.keep_source = keepsSource(*listener);
    entrance.idle_timeout = listener->config()->idle_timeout;
    entrance.eligible = choicesOf(listener->pool(), flows);
    plan.listeners.push_back(std::move(entrance));
  }
  return plan;
}

}  // namespace lemonade::app
