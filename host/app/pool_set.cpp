// SPDX-License-Identifier: MIT
#include "app/pool_set.h"

#include "app/managed_pool.h"
#include "app/preparation.h"
#include "app/shadowing.h"
#include "balance/pool.h"
#include "base/log.h"

#include <algorithm>
#include <system_error>
#include <utility>

namespace lemonade::app {

struct PoolSet::Staged::Entry {
  std::shared_ptr<ManagedPool> pool;
  bool is_new = false;
  std::shared_ptr<Strategy> strategy;
  std::shared_ptr<Strategy> shadow;                // null: it has none
  std::shared_ptr<const plugin::PluginFile> file;  // of a strategy that is new
  std::string stands_in_hash;                      // see PreparedPool
  std::optional<ManagedPool::Checker> checker;
};

PoolSet::Staged::Staged() = default;
PoolSet::Staged::Staged(Staged&&) noexcept = default;

PoolSet::Staged::~Staged() {
  for (auto& entry : entries_)
    if (entry.is_new) entry.pool->end();
}

ManagedPool& PoolSet::Staged::operator[](const std::string& name) const {
  return *std::find_if(entries_.begin(), entries_.end(), [&](const auto& entry) {
            return entry.pool->name() == name;
          })->pool;
}

PoolSet::PoolSet(Make make) : make_(std::move(make)) {}

PoolSet::~PoolSet() = default;

// ---- taking a configuration over -----------------------------------------------------------------------------------

Result<PoolSet::Staged> PoolSet::stage(Preparation& preparation, std::uint32_t workers) try {
  Staged staged;
  workers_ = std::max(workers_, workers);
  for (const auto& pool : all())
    if (auto added = pool->pool().addWorkers(workers_); !added) return std::move(added).error();
  for (const auto& config : preparation.config.pools) {
    auto& entry = staged.entries_.emplace_back();
    entry.pool = find(config.name);
    if (entry.pool == nullptr) {
      entry.pool = make_(config.name, workers_);
      entry.is_new = true;
    }
    auto& prepared = preparation.pools[config.name];
    auto strategy = entry.pool->makeStrategy(std::move(prepared.strategy), config.strategy);
    const std::string of_pool = config.name == Backend::kDefaultPool ? "" : "pool " + config.name + ": ";
    if (!strategy) return Error{of_pool + strategy.error().message};
    if (config.hasShadow()) {
      auto shadow = entry.pool->shadowing().make(std::move(prepared.shadow));
      if (!shadow) return Error{of_pool + "shadow: " + shadow.error().message};
      entry.shadow = std::move(shadow).value();
    }
    entry.strategy = std::move(strategy).value();
    entry.file = std::move(prepared.strategy_file);
    entry.stands_in_hash = std::move(prepared.stands_in_hash);
    if (prepared.checker) entry.checker.emplace(std::move(*prepared.checker));
  }
  return staged;
} catch (const std::system_error& error) {
  return Error{std::string("cannot make a pool: ") + error.what() + "; raise what limits descriptors (ulimit -n)"};
}

void PoolSet::use(Staged staged, const Preparation& preparation) {
  Pools configured;
  for (const auto& entry : staged.entries_) configured.push_back(entry.pool);
  Pools removed = removed_;
  removed.insert(removed.end(), configured_.begin(), configured_.end());
  std::erase_if(removed, [&](const auto& pool) {
    return std::find(configured.begin(), configured.end(), pool) != configured.end();
  });
  for (auto& entry : staged.entries_) entry.is_new = false;
  {
    const std::lock_guard lock(mutex_);
    configured_ = std::move(configured);
    removed_ = std::move(removed);
  }
  for (std::size_t i = 0; i < staged.entries_.size(); ++i) {
    auto& entry = staged.entries_[i];
    if (entry.file != nullptr) entry.pool->remember(std::move(entry.file), preparation.config.pools[i].strategy);
    if (!entry.stands_in_hash.empty()) entry.pool->standInFor(entry.stands_in_hash);
    if (preparation.settled.contains(entry.pool->name())) entry.pool->settle();
    entry.pool->shadowing().use(std::move(entry.shadow), preparation.config.pools[i].hasShadow());
    entry.pool->pool().setZone(preparation.config.runtime.zone);
    entry.pool->configure(preparation.config.pools[i], preparation.resolutions, std::move(entry.strategy),
                          std::move(entry.checker));
  }
}

void PoolSet::retireRest() {
  for (const auto& pool : removed_) pool->retire();
}

// ---- stopping ------------------------------------------------------------------------------------------------------

void PoolSet::stopResolving() {
  for (const auto& pool : all()) pool->stopResolving();
}

void PoolSet::stopChecking() {
  for (const auto& pool : all()) pool->stopChecking();
}

void PoolSet::clear() {
  for (const auto& pool : all()) pool->end();
}

std::size_t PoolSet::reclaim() {
  std::size_t left = 0;
  for (const auto& pool : configured_) left += pool->reclaim();
  for (const auto& pool : removed_) {
    (void)pool->reclaim();
    if (pool->hasEnded() || !pool->isUnused()) continue;
    pool->end();
    ++left;  // its view is yet to be freed
    log::info("app", "a pool that was removed has ended", {{"pool", pool->name()}});
  }
  const std::lock_guard lock(mutex_);
  // Others may still read it; it is destroyed here.
  std::erase_if(removed_, [](const auto& pool) { return pool->hasEnded() && pool.use_count() == 1; });
  return left + removed_.size();
}

// ---- reading -------------------------------------------------------------------------------------------------------

PoolSet::Pools PoolSet::configured() const {
  const std::lock_guard lock(mutex_);
  return configured_;
}

PoolSet::Pools PoolSet::all() const {
  const std::lock_guard lock(mutex_);
  Pools pools = configured_;
  for (const auto& pool : removed_)
    if (!pool->hasEnded()) pools.push_back(pool);
  return pools;
}

std::shared_ptr<ManagedPool> PoolSet::find(const std::string& name) const {
  const auto pools = all();
  const auto found = std::find_if(pools.begin(), pools.end(), [&](const auto& pool) { return pool->name() == name; });
  return found == pools.end() ? nullptr : *found;
}

}  // namespace lemonade::app
