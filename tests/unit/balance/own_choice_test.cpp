// SPDX-License-Identifier: MIT
//
// What the host chooses where a strategy cannot be asked any more.
#include "balance/own_choice.h"

#include "unit/balance/scripted_pool.h"

#include <catch2/catch.hpp>

#include <map>
#include <set>
#include <string>

namespace lemonade {
namespace {

/// How often each backend is picked of so many times, with another random number each time.
std::map<std::string, int> picksOf(Pool& pool, int times, const Tried& tried = {}) {
  std::map<std::string, int> picks;
  std::uint64_t random = 1;
  for (int i = 0; i < times; ++i) {
    lemonade_connection_t connection{};
    connection.struct_size = sizeof(connection);
    connection.random = random = random * 6'364'136'223'846'793'005 + 1'442'695'040'888'963'407;
    connection.random ^= connection.random >> 33;
    const auto picked = pool.pick(connection, tried);
    if (picked.what != Picked::What::kBackend) continue;
    CHECK(picked.generation == 0);
    CHECK(picked.cookie == 0);
    CHECK_FALSE(picked.invalid);
    ++picks[picked.backend->id()];
    pool.release(*picked.backend);
  }
  return picks;
}

void weigh(Backend& backend, std::uint32_t weight) {
  auto settings = backend.settings();
  settings.weight = weight;
  backend.apply(settings);
}

}  // namespace

TEST_CASE_METHOD(ScriptedPool, "A strategy that is broken is not asked and the host picks by weight", "[balance]") {
  int asked = 0;
  scripted.pick = [&](const auto&, const auto&, const void*) { return static_cast<std::uint32_t>(++asked, 0); };
  weigh(*backends[0], 1);
  weigh(*backends[1], 3);
  weigh(*backends[2], 0);
  pool.publish();
  pool.strategy()->guard().breakFor(plugin::FaultKind::kHang);
  auto picks = picksOf(pool, 4'000);
  CHECK(asked == 0);
  CHECK(picks["a"] > 850);
  CHECK(picks["a"] < 1'150);
  CHECK(picks["b"] == 4'000 - picks["a"]);
}

TEST_CASE_METHOD(ScriptedPool, "The host's own choice keeps to what a connection may be given", "[balance]") {
  pool.strategy()->guard().breakFor(plugin::FaultKind::kHang);
  (void)backends[0]->setHealth(false, "test");
  pool.publish();
  Tried tried;
  tried.add(*backends[1]);
  CHECK(picksOf(pool, 50, tried) == std::map<std::string, int>{{"c", 50}});
  tried.add(*backends[2]);
  CHECK(picksOf(pool, 50, tried).empty());
}

TEST_CASE("Backends without any weight are chosen alike", "[balance]") {
  const lemonade_backend_stats_t stats{};
  lemonade_backend_t rows[3]{};
  for (auto& row : rows) row.stats = &stats;
  const std::uint32_t eligible[] = {0, 1, 2};
  lemonade_view_t view{};
  view.struct_size = sizeof(view);
  view.backend_stride = sizeof(lemonade_backend_t);
  view.backend_count = view.eligible_count = 3;
  view.backends = rows;
  view.eligible = eligible;
  std::set<std::uint32_t> chosen;
  lemonade_connection_t connection{};
  for (connection.random = 0; connection.random < 30; ++connection.random)
    chosen.insert(chooseByWeight(view, connection));
  CHECK(chosen == std::set<std::uint32_t>{0, 1, 2});
}

TEST_CASE_METHOD(ScriptedPool, "The host's own choice is a strategy for a pool that has no other", "[balance]") {
  pool.setStrategy(Strategy::make(makeOwnChoice(), 1).value());
  pool.publish();
  CHECK(pool.strategy()->info().id == kOwnChoiceId);
  CHECK(picksOf(pool, 300).size() == 3);
}

TEST_CASE_METHOD(ScriptedPool, "An instance that is broken is left alone to the end", "[balance]") {
  other.pick = [](const auto&, const auto& view, const void*) { return view.eligible[0]; };
  pool.strategy()->guard().breakFor(plugin::FaultKind::kAbort);
  lemonade_strategy_event_t event{};
  event.type = LEMONADE_EVENT_CLOSED;
  pool.tell(0, event, 7);
  CHECK(scripted.events.empty());
  use(other, 8);
  pool.publish();
  CHECK(reclaim() == 0);
  CHECK(scripted.released == 0);
  CHECK(scripted.lanes == 1);
  CHECK_FALSE(scripted.destroyed);
  CHECK(pick().generation == 8);
}

TEST_CASE_METHOD(ScriptedPool, "A pick that declines is told only where a backend could have been given", "[balance]") {
  const auto answer = GENERATE(LEMONADE_PICK_NONE, LEMONADE_PICK_REJECT);
  scripted.pick = [answer](const auto&, const auto&, const void*) { return answer; };
  CHECK(pick().declined);
  Tried tried;
  for (auto& backend : backends) tried.add(*backend);
  CHECK_FALSE(pick(tried).declined);
}

}  // namespace lemonade
