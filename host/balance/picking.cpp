// SPDX-License-Identifier: MIT
//
// How a pool picks a backend for a connection: by its strategy, by itself where that cannot be had, and what its shadow
// would have answered.
#include "balance/feedback.h"
#include "balance/own_choice.h"
#include "balance/plugin_address.h"
#include "balance/pool.h"
#include "base/hash.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace lemonade {

/// The indices, in one view, of the backends that a connection must not be given.
class Pool::Excluded {
 public:
  Excluded(const View& view, const Tried& tried) noexcept {
    // Retries are rare, so this scan is: backends carry no index, because each view has its own.
    for (const Backend* backend : tried.get())
      for (std::uint32_t i = 0; i < view.size(); ++i)
        if (&view.backend(i) == backend) add(i);
    tried_ = count_;
  }
  void add(std::uint32_t index) noexcept {
    if (count_ < indices_.size()) indices_[count_++] = index;
  }
  bool contains(std::uint32_t index) const noexcept { return among(index, count_); }
  /// Only those that failed the connection, not those found full since.
  bool containsTried(std::uint32_t index) const noexcept { return among(index, tried_); }
  void show(lemonade_connection_t& connection) const noexcept {
    connection.tried = indices_.data();
    connection.tried_count = count_;
  }

 private:
  bool among(std::uint32_t index, std::uint32_t count) const noexcept {
    return std::find(indices_.begin(), indices_.begin() + count, index) != indices_.begin() + count;
  }

  // Beyond the tried ones there is room for backends that filled up between the strategy's look and ours.
  std::array<std::uint32_t, 2 * Tried::kMost> indices_;
  std::uint32_t count_ = 0;
  std::uint32_t tried_ = 0;
};

template <class May>
std::uint32_t Pool::pickInstead(const View::Tier& tier, const lemonade_connection_t& connection, May may) noexcept {
  const auto& backends = tier.get();
  const std::uint32_t start = next_instead_.fetch_add(1, std::memory_order_relaxed);
  for (std::uint32_t i = 0; i < backends.eligible_count; ++i) {
    const std::uint32_t index = backends.eligible[(start + i) % backends.eligible_count];
    if (lemonade_may_pick(&connection, &backends, index) != 0 && may(index)) return index;
  }
  return LEMONADE_PICK_NONE;
}

Picked Pool::pick(lemonade_connection_t& connection, const Tried& tried, const LocalAddressSource* local,
                  const PickScope& scope) noexcept {
  const View* view = current_.load(std::memory_order_acquire);
  if (view == nullptr || view->eligibleCount() == 0) return {};
  Excluded excluded(*view, tried);
  Picked picked;
  picked.asked = &view->strategy().info();
  if ((view->strategy().needs() & LEMONADE_NEED_LOCAL_ADDRESS) != 0 && local != nullptr) [[unlikely]]
    connection.local_family = writeAddress(local->localAddress(), connection.local_address);
  for (const auto& tier : view->tiers())
    if (pickFrom(*view, tier, connection, excluded, scope, picked)) return picked;
  return picked;
}

// Where the strategy cannot be asked any more, or its pick was broken off, the host chooses.
std::uint32_t Pool::ask(const Strategy& strategy, const View::Tier& tier, lemonade_connection_t& connection,
                        Picked& picked) noexcept {
  picked.cookie = 0;
  picked.generation = strategy.info().number;
  std::uint32_t index = LEMONADE_PICK_NONE;
  const lemonade_connection_t* const asked = &connection;
  if (strategy.guard().ask(plugin::Function::kPick, index, strategy.table().pick, strategy.self(),
                           strategy.lane(connection.worker), tier.prepared(), asked, &tier.get(), &picked.cookie))
      [[likely]]
    return index;
  picked.cookie = picked.generation = 0;
  return chooseByWeight(tier.get(), connection);
}

// False where the tier has nobody for the connection.
bool Pool::pickFrom(const View& view, const View::Tier& tier, lemonade_connection_t& connection, Excluded& excluded,
                    const PickScope& scope, Picked& picked) noexcept {
  const Strategy& strategy = view.strategy();
  // More than a few rounds happen only when backends fill up at this very moment.
  for (std::uint32_t round = 0; round < Tried::kMost; ++round) {
    excluded.show(connection);
    std::uint32_t index = ask(strategy, tier, connection, picked);
    By by = picked.generation != 0 ? By::kStrategy : By::kHost;
    bool overruled = false;
    const bool noted = recording_.load(std::memory_order_relaxed) != nullptr;
    if (index == LEMONADE_PICK_NONE || index == LEMONADE_PICK_REJECT) [[unlikely]] {
      if (noted) note(view, tier, connection, index, by);
      const bool declined = hasCandidate(tier.get(), connection);
      picked.declined = picked.declined || declined;
      overruled = declined && isDoubted(strategy, connection.worker);
      if (!overruled) {
        if (index == LEMONADE_PICK_NONE) break;
        picked.what = Picked::What::kRejected;
        return true;
      }
      picked.cookie = picked.generation = 0;
      by = By::kHost;
      index = chooseByWeight(tier.get(), connection);
    }
    if (index >= tier.get().backend_count || !tier.eligible(index) || excluded.contains(index)) {
      picked.invalid = true;
      picked.cookie = picked.generation = 0;
      by = By::kHost;
      index = pickInstead(tier, connection, [](std::uint32_t) { return true; });
      if (index == LEMONADE_PICK_NONE) break;
    }
    if (view.backend(index).trial() != nullptr && connection.attempt == 0 && scope.on_trial) [[unlikely]] {
      index = tossCoin(view, tier, connection, excluded, scope, index, picked);
      if (picked.trial != nullptr) by = By::kCoin;
    }
    if (noted) [[unlikely]]
      note(view, tier, connection, index, by);
    if (feedback::acquire(view.backend(index))) {
      picked.declined = overruled;
      picked.what = Picked::What::kBackend;
      picked.backend = &view.backend(index);
      return true;
    }
    excluded.add(index);
    picked.trial = nullptr;
  }
  // Whether it is still full does not matter: a place that became free since the strategy looked is worth another look.
  for (std::uint32_t i = 0; i < tier.get().eligible_count && !picked.full; ++i) {
    const std::uint32_t index = tier.get().eligible[i];
    picked.full = view.backend(index).maxConnections() != 0 && !excluded.containsTried(index);
  }
  return false;
}

// On probation a strategy that gives no backend again and again, though there is one, is not believed: it is the host's
// choice then, and the judgement counts it all the same. Strategies that refuse on purpose say so.
bool Pool::isDoubted(const Strategy& strategy, std::uint32_t worker) noexcept {
  const std::uint32_t one_in = strategy.believesOneIn();
  if (one_in == 0) return false;
  PoolAtWorker& at = at_workers_[worker];
  const std::uint64_t picks = at.counters.clients.value() + at.counters.retries.value() + 1;
  const std::uint64_t last = std::exchange(at.declined_at, picks);
  return last != 0 && picks - last < one_in;
}

// Of a backend under suspicion: a coin gives it one client in four, or asks the strategy again without those that are
// suspected. Where nobody else is left the client goes to it, and says nothing.
std::uint32_t Pool::tossCoin(const View& view, const View::Tier& tier, lemonade_connection_t& connection,
                             Excluded excluded, const PickScope& scope, std::uint32_t meant, Picked& picked) noexcept {
  if (!scope.allows(view.backend(meant))) return meant;
  const auto& backends = tier.get();
  for (std::uint32_t i = 0; i < backends.eligible_count; ++i)
    if (const std::uint32_t index = backends.eligible[i]; view.backend(index).trial() != nullptr) excluded.add(index);
  excluded.show(connection);
  const std::uint32_t instead =
      pickInstead(tier, connection, [&](std::uint32_t index) { return scope.allows(view.backend(index)); });
  Trial* const trial = view.backend(meant).trial();
  if (instead == LEMONADE_PICK_NONE || view.backend(instead).trial() != nullptr || trial == nullptr) return meant;
  picked.trial = trial;
  // The strategy may have gone by this number, so its bits are mixed; by Fibonacci hashing (Knuth).
  const bool here = ((connection.random * kSplitmix64Step) >> 62) == 0;
  picked.arm = here ? Trial::Arm::kHere : Trial::Arm::kElsewhere;
  if (here) return meant;
  const Strategy& strategy = view.strategy();
  const std::uint32_t other = ask(strategy, tier, connection, picked);
  if (other < backends.backend_count && tier.eligible(other) && !excluded.contains(other) &&
      scope.allows(view.backend(other)))
    return other;
  picked.cookie = picked.generation = 0;
  return instead;
}

// Before a place is taken, so that what is written down is what the strategy saw. Of the strategy's own choice it is
// asked why.
void Pool::note(const View& view, const View::Tier& tier, const lemonade_connection_t& connection, std::uint32_t answer,
                By by) noexcept {
  PickRecorder* const recorder = recording_.load(std::memory_order_acquire);
  if (recorder == nullptr) return;
  const Strategy& strategy = view.strategy();
  const auto say = [](char* text, std::uint32_t room, std::string_view words) {
    const auto size = std::min<std::size_t>(words.size(), room);
    std::copy_n(words.data(), size, text);
    return static_cast<std::uint32_t>(size);
  };
  recorder->record(connection, tier.get(), answer, [&](char* text, std::uint32_t room) -> std::uint32_t {
    if (by == By::kCoin) return say(text, room, "a coin of the host, since one that was picked is on trial");
    if (answer >= tier.get().backend_count) return 0;
    if (by == By::kHost) return say(text, room, "the host's own choice in the place of the strategy");
    const auto why = strategy.why();
    if (why == nullptr) return 0;
    std::uint32_t size = 0;
    (void)strategy.guard().call(plugin::Function::kWhy, [&] {
      size = why(strategy.self(), strategy.lane(connection.worker), tier.prepared(), &connection, &tier.get(), answer,
                 text, room);
    });
    return size;
  });
}

Picked Pool::pickWhere(const PickScope::May& may) noexcept {
  Picked picked;
  const View* view = current_.load(std::memory_order_acquire);
  if (view == nullptr) return picked;
  picked.asked = &view->strategy().info();
  const std::uint32_t start = next_instead_.fetch_add(1, std::memory_order_relaxed);
  for (const auto& tier : view->tiers()) {
    const auto& backends = tier.get();
    for (std::uint32_t i = 0; i < backends.eligible_count; ++i) {
      Backend& backend = view->backend(backends.eligible[(start + i) % backends.eligible_count]);
      if (!may(backend)) continue;
      if (feedback::acquire(backend)) {
        picked.what = Picked::What::kBackend;
        picked.backend = &backend;
        return picked;
      }
      picked.full = true;
    }
  }
  return picked;
}

// ---- the shadow ----------------------------------------------------------------------------------------------------

// Where it is broken off nobody is the poorer: the connection has not been picked for yet, and it is not asked again.
ShadowAnswer Pool::askShadowNow(const lemonade_connection_t& asked, const Tried& tried,
                                const LocalAddressSource* local) const noexcept {
  const View* view = current_.load(std::memory_order_acquire);
  if (view == nullptr || view->shadow() == nullptr || view->shadow()->strategy().guard().broken()) return {};
  const View& shadow = *view->shadow();
  const Strategy& strategy = shadow.strategy();
  lemonade_connection_t connection = asked;  // the strategy that decides sees nothing that the shadow alone needs
  if ((strategy.needs() & LEMONADE_NEED_LOCAL_ADDRESS) != 0 && local != nullptr)
    connection.local_family = writeAddress(local->localAddress(), connection.local_address);
  const Excluded excluded(shadow, tried);
  excluded.show(connection);
  ShadowAnswer answer{&shadow};
  const lemonade_connection_t* const shown = &connection;
  for (const auto& tier : shadow.tiers()) {
    std::uint32_t index = LEMONADE_PICK_NONE;
    answer.cookie = 0;
    if (!strategy.guard().ask(plugin::Function::kPick, index, strategy.table().pick, strategy.self(),
                              strategy.lane(connection.worker), tier.prepared(), shown, &tier.get(), &answer.cookie))
      return {};
    if (index == LEMONADE_PICK_NONE) continue;
    const bool usable = index < tier.get().backend_count && tier.eligible(index) && !excluded.contains(index);
    if (usable) answer.backend = &shadow.backend(index);
    break;
  }
  return answer;
}

ShadowTie Pool::settleNow(const ShadowAnswer& answer, const Picked& picked,
                          const lemonade_connection_t& connection) noexcept {
  const bool placed = picked.what == Picked::What::kBackend;
  const bool same = placed && picked.backend == answer.backend;
  const std::uint32_t worker = connection.worker;
  if (placed && picked.trial == nullptr) {
    auto& counters = at_workers_[worker].counters;
    (same ? counters.shadow_same : answer.backend != nullptr ? counters.shadow_other : counters.shadow_none).add();
    picked.backend->counters(worker).shadowed_picks.add();
    if (answer.backend != nullptr) answer.backend->counters(worker).shadow_picks.add();
  }
  const Strategy& strategy = answer.view->strategy();
  if (same) return {answer.cookie, strategy.info().number};
  if (answer.backend == nullptr) return {};
  lemonade_strategy_event_t event{};
  event.struct_size = sizeof(event);
  event.type = LEMONADE_EVENT_ABANDONED;
  event.backend_identity = answer.backend->identity();
  event.cookie = answer.cookie;
  event.now_ns = connection.now_ns;
  tellOne(strategy, worker, event);
  return {};
}

}  // namespace lemonade
