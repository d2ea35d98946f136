// SPDX-License-Identifier: MIT
//
// A shadow is asked beside the strategy, counted, told what is so, and decides nothing.
#include "balance/shadow.h"
#include "balance/feedback.h"
#include "unit/balance/scripted_pool.h"

#include <lemonade/strategy.h>

namespace lemonade {
namespace {

/// The strategy picks the first backend, the shadow (generation 8) what `shadow_picks` says.
class ShadowedPool : public ScriptedPool {
 public:
  explicit ShadowedPool(std::uint32_t wanted = LEMONADE_EVENT_CLOSED | LEMONADE_EVENT_ABANDONED) {
    other.wanted = wanted;
    other.pick = [this](const auto& connection, const auto& view, const void*) {
      tried = connection.tried_count;
      local_family = connection.local_family;
      seen_active = lemonade_load_u32(&lemonade_view_backend(&view, 1)->stats->active);
      return shadow_picks;
    };
    pool.setShadow(make(other, 8));
    pool.publish();
  }

  /// As the connector does it.
  std::pair<Picked, ShadowTie> pickBoth(const Tried& failed = {}) {
    lemonade_connection_t connection{};
    connection.struct_size = sizeof(connection);
    connection.now_ns = 1'000;
    const auto answer = pool.askShadow(connection, failed);
    const auto picked = pool.pick(connection, failed);
    return {picked, pool.settle(answer, picked, connection)};
  }
  const PoolCounters& counted() { return pool.at(0).counters; }
  std::uint64_t shadowed(std::size_t backend) const { return backends[backend]->counters(0).shadowed_picks.value(); }
  std::uint64_t shadows(std::size_t backend) const { return backends[backend]->counters(0).shadow_picks.value(); }
  void close(const ShadowTie& tie) {
    lemonade_strategy_event_t event{};
    event.struct_size = sizeof(event);
    event.type = LEMONADE_EVENT_CLOSED;
    event.cookie = 5;
    pool.tell(0, event, 7, tie);
  }

  std::uint32_t shadow_picks = 0;
  std::uint32_t tried = 0, local_family = 0, seen_active = 0;
};

}  // namespace

TEST_CASE_METHOD(ShadowedPool, "A pool counts how often its shadow differs and where it would have sent what",
                 "[balance][shadow]") {
  (void)pickBoth();
  shadow_picks = 1;
  (void)pickBoth();
  (void)pickBoth();
  shadow_picks = LEMONADE_PICK_NONE;
  CHECK(pickBoth().first.backend == backends[0].get());
  CHECK(counted().shadow_same.value() == 1);
  CHECK(counted().shadow_other.value() == 2);
  CHECK(counted().shadow_none.value() == 1);
  CHECK(shadowed(0) == 4);
  CHECK(shadows(0) == 1);
  CHECK(shadows(1) == 2);
  CHECK(backends[0]->active() == 4);
  CHECK(backends[1]->active() == 0);  // the shadow takes no places
}

TEST_CASE_METHOD(ShadowedPool, "A shadow is asked before the pick and so sees what the strategy sees",
                 "[balance][shadow]") {
  std::uint32_t strategy_saw = 99;
  scripted.pick = [&](const auto&, const auto& view, const void*) {
    strategy_saw = lemonade_load_u32(&lemonade_view_backend(&view, 1)->stats->active);
    return std::uint32_t{1};
  };
  Tried failed;
  failed.add(*backends[0]);
  (void)pickBoth(failed);
  (void)pickBoth(failed);
  CHECK(strategy_saw == 1);
  CHECK(seen_active == 1);
  CHECK(tried == 1);
}

TEST_CASE_METHOD(ShadowedPool, "An answer of a shadow that cannot be used counts as none", "[balance][shadow]") {
  shadow_picks = GENERATE(std::uint32_t{3}, std::uint32_t{9'999}, LEMONADE_PICK_REJECT);
  (void)pickBoth();
  CHECK(counted().shadow_none.value() == 1);
  Tried failed;
  failed.add(*backends[1]);
  shadow_picks = 1;
  (void)pickBoth(failed);
  CHECK(counted().shadow_none.value() == 2);
  CHECK(counted().invalid_picks.value() == 0);
}

TEST_CASE_METHOD(ShadowedPool, "A shadow that had the same backend hears of the session as its own",
                 "[balance][shadow]") {
  const auto tie = pickBoth().second;
  close(tie);
  REQUIRE(other.events.size() == 1);
  CHECK(other.events[0].foreign == 0);
  CHECK(other.events[0].cookie == 42);
  REQUIRE(scripted.events.size() == 1);
  CHECK(scripted.events[0].cookie == 5);  // what it was told is not what the shadow is
  CHECK(scripted.events[0].foreign == 0);
}

TEST_CASE_METHOD(ShadowedPool, "A shadow that differed has its answer taken back and the session is foreign to it",
                 "[balance][shadow]") {
  shadow_picks = 2;
  const auto tie = pickBoth().second;
  REQUIRE(other.events.size() == 1);
  CHECK(other.events[0].type == LEMONADE_EVENT_ABANDONED);
  CHECK(other.events[0].backend_identity == backends[2]->identity());
  CHECK(other.events[0].cookie == 42);
  CHECK(other.events[0].foreign == 0);
  CHECK(scripted.events.empty());
  close(tie);
  REQUIRE(other.events.size() == 2);
  CHECK(other.events[1].foreign == 1);
  CHECK(other.events[1].cookie == 0);
}

TEST_CASE("A pool wants the events of both and tells each its own", "[balance][shadow]") {
  ShadowedPool pool(LEMONADE_EVENT_EXCHANGE);
  CHECK(pool.pool.wants(LEMONADE_EVENT_EXCHANGE));
  CHECK(pool.pool.wants(LEMONADE_EVENT_CLOSED));
  CHECK_FALSE(pool.pool.wants(LEMONADE_EVENT_CONNECTED));
  pool.close({});
  CHECK(pool.other.events.empty());
  CHECK(pool.scripted.events.size() == 1);
}

TEST_CASE_METHOD(ShadowedPool, "Nothing is counted where the strategy gave no backend", "[balance][shadow]") {
  scripted.pick = [](const auto&, const auto&, const void*) { return LEMONADE_PICK_NONE; };
  shadow_picks = 1;
  (void)pickBoth();
  CHECK(counted().shadow_other.value() == 0);
  CHECK(shadows(1) == 0);
  CHECK(other.events.size() == 1);  // the answer is taken back all the same
}

TEST_CASE_METHOD(ShadowedPool, "A shadow that is broken or gone is not asked and the pick goes on",
                 "[balance][shadow]") {
  int asked = 0;
  other.pick = [&](const auto&, const auto&, const void*) { return std::uint32_t(++asked); };
  if (GENERATE(false, true)) {
    pool.shadow()->guard().breakFor(plugin::FaultKind::kDeath);
  } else {
    pool.setShadow(nullptr);
    pool.publish();
  }
  const auto [picked, tie] = pickBoth();
  CHECK(picked.backend == backends[0].get());
  CHECK(tie.generation == 0);
  CHECK(asked == 0);
  CHECK(counted().shadow_other.value() + counted().shadow_same.value() + counted().shadow_none.value() == 0);
}

TEST_CASE_METHOD(ShadowedPool, "A shadow has lanes as long as the pool has it and prepares its own views",
                 "[balance][shadow]") {
  CHECK(other.lanes == 1);
  REQUIRE(pool.addWorkers(2));
  CHECK(other.lanes == 2);
  pool.setShadow(nullptr);
  pool.publish();
  (void)reclaim();
  CHECK(other.lanes == 0);
  CHECK(other.destroyed);
  CHECK(other.released == 1);
}

}  // namespace lemonade
