// SPDX-License-Identifier: MIT
#include "observe/comparison.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>
#include <utility>

namespace lemonade {

namespace {

constexpr double kMemoryNs = 5e9;
constexpr double kFewExchanges = 0.1;  // what is left of one after some seconds

}  // namespace

Comparison::Comparison(const Pool& pool, plugin::InstanceInfo strategy, plugin::InstanceInfo shadow,
                       std::uint64_t unix_ns)
    : pool_(pool) {
  sum_.pool = pool.name();
  sum_.since_unix_ns = unix_ns;
  sum_.strategy.plugin = std::move(strategy);
  sum_.shadow.plugin = std::move(shadow);
  addPicks(before_);
  look();
}

bool Comparison::isOf(const plugin::InstanceInfo& strategy, const plugin::InstanceInfo& shadow) const noexcept {
  return sum_.strategy.plugin.number == strategy.number && sum_.shadow.plugin.number == shadow.number;
}

// Of this process: what others have counted comes all at once.
Comparison::Counts Comparison::countsOf(const Backend& backend) noexcept {
  Counts counts;
  for (std::uint32_t worker = 0; worker < backend.workers(); ++worker) {
    const auto& of = backend.counters(worker);
    counts.strategy_picks += of.shadowed_picks.value();
    counts.shadow_picks += of.shadow_picks.value();
    counts.exchanges += of.exchanges.value();
    counts.exchange_ns += of.exchange_time.sumNs();
  }
  return counts;
}

void Comparison::addPicks(ShadowStatus& sum) const noexcept {
  for (const auto* counters : pool_.counters()) {
    sum.same += counters->shadow_same.value();
    sum.other += counters->shadow_other.value();
    sum.none += counters->shadow_none.value();
  }
}

// What a backend had counted when it was seen first is nobody's here.
void Comparison::lookLocked(const View::Backends& backends, std::uint64_t now_ns) {
  const double since_ns = now_ns > looked_ns_ ? static_cast<double>(now_ns - looked_ns_) : 0;
  const double keep = std::exp(-since_ns / kMemoryNs);
  looked_ns_ = std::max(looked_ns_, now_ns);
  std::unordered_set<std::uint64_t> present;
  for (const auto& backend : backends) {
    present.insert(backend->identity());
    const Counts now = countsOf(*backend);
    const auto [found, is_new] = watched_.try_emplace(backend->identity());
    Watched& watched = found->second;
    if (is_new) watched.began = watched.seen = now;
    watched.waiting_strategy += now.strategy_picks - watched.seen.strategy_picks;
    watched.waiting_shadow += now.shadow_picks - watched.seen.shadow_picks;
    watched.late_exchanges =
        watched.late_exchanges * keep + static_cast<double>(now.exchanges - watched.seen.exchanges);
    watched.late_seconds =
        watched.late_seconds * keep + static_cast<double>(now.exchange_ns - watched.seen.exchange_ns) / 1e9;
    if (watched.late_exchanges > kFewExchanges) {
      const double mean_s = watched.late_seconds / watched.late_exchanges;
      const auto weigh = [&](ShadowSide& side, std::uint64_t& waiting) {
        side.weighed_seconds += mean_s * static_cast<double>(waiting);
        side.weighed_picks += std::exchange(waiting, 0);
      };
      weigh(sum_.strategy, watched.waiting_strategy);
      weigh(sum_.shadow, watched.waiting_shadow);
    }
    watched.seen = now;
  }
  std::erase_if(watched_, [&](const auto& one) { return !present.contains(one.first); });
}

void Comparison::look(std::uint64_t now_ns) {
  const auto backends = pool_.backends();
  const std::lock_guard lock(mutex_);
  lookLocked(*backends, now_ns);
}

ShadowStatus Comparison::status(std::uint64_t now_ns) {
  const auto backends = pool_.backends();
  const std::lock_guard lock(mutex_);
  lookLocked(*backends, now_ns);
  ShadowStatus status = sum_;
  addPicks(status);
  status.same -= before_.same;
  status.other -= before_.other;
  status.none -= before_.none;
  for (const auto& backend : *backends) {
    const Watched& watched = watched_.at(backend->identity());
    const Counts& began = watched.began;
    const Counts& seen = watched.seen;
    const std::uint64_t exchanges = seen.exchanges - began.exchanges;
    status.backends.push_back({backend->id(), backend->name(), backend->addressText(),
                               seen.strategy_picks - began.strategy_picks, seen.shadow_picks - began.shadow_picks,
                               exchanges == 0 ? 0
                                              : static_cast<double>(seen.exchange_ns - began.exchange_ns) /
                                                    static_cast<double>(exchanges) / 1e6});
  }
  return status;
}

}  // namespace lemonade
