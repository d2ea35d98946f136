// SPDX-License-Identifier: MIT
//
// The lists of totals in a handover: what is found there by name, added and summed up.
#include "upgrade/handover.h"
#include "upgrade/totals.h"

#include <algorithm>

namespace lemonade {

namespace {

template <class Totals>
auto findByName(auto& all, const std::string& name) {
  return std::find_if(all.begin(), all.end(), [&](const Totals& one) { return one.name == name; });
}

}  // namespace

ListenerTotals& totalsOf(std::list<ListenerTotals>& listeners, const std::string& name) {
  if (const auto found = findByName<ListenerTotals>(listeners, name); found != listeners.end()) return *found;
  listeners.emplace_back().name = name;
  return listeners.back();
}

PoolTotals& totalsOf(std::list<PoolTotals>& pools, const std::string& name) {
  if (const auto found = findByName<PoolTotals>(pools, name); found != pools.end()) return *found;
  pools.emplace_back().name = name;
  return pools.back();
}

const ListenerTotals* findTotals(const std::list<ListenerTotals>& listeners, const std::string& name) {
  const auto found = findByName<ListenerTotals>(listeners, name);
  return found == listeners.end() ? nullptr : &*found;
}

const PoolTotals* findTotals(const std::list<PoolTotals>& pools, const std::string& name) {
  const auto found = findByName<PoolTotals>(pools, name);
  return found == pools.end() ? nullptr : &*found;
}

void addCalls(std::list<CallTotal>& calls, const std::string& plugin, const std::string& function,
              const std::string& kind, std::uint64_t count) {
  for (auto& one : calls)
    if (one.plugin == plugin && one.function == function && one.kind == kind) return one.count.add(count);
  auto& added = calls.emplace_back();
  added.plugin = plugin;
  added.function = function;
  added.kind = kind;
  added.count.add(count);
}

void addUp(ProcessTotals& totals) {
  for (const auto& listener : totals.listeners) addTotals(totals.proxy.listeners, listener.counters);
  for (const auto& pool : totals.pools) {
    addTotals(totals.proxy.pools, pool.counters);
    totals.checks.add(pool.checks.value());
    totals.check_failures.add(pool.check_failures.value());
    totals.checker_errors.add(pool.checker_errors.value());
    totals.ejections.add(pool.ejections.value());
  }
}

}  // namespace lemonade
