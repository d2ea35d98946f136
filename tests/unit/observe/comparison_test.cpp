// SPDX-License-Identifier: MIT
//
// A comparison says how often two strategies differ, and what each one's backends then take.
#include "observe/comparison.h"

#include "observe/shadows.h"
#include "unit/balance/scripted_pool.h"

#include <catch2/catch.hpp>

namespace lemonade {
namespace {

struct Compared : ScriptedPool {
  /// So many exchanges of so many milliseconds have ended at a backend.
  void answer(std::size_t backend, int exchanges, std::uint64_t millis) {
    auto& counters = backends[backend]->counters(0);
    for (int i = 0; i < exchanges; ++i) {
      counters.exchanges.add();
      counters.exchange_time.record(millis * 1'000'000);
    }
  }
  /// A pick of the strategy, and what the shadow would have had.
  void picked(std::size_t backend, std::size_t shadows) {
    backends[backend]->counters(0).shadowed_picks.add();
    backends[shadows]->counters(0).shadow_picks.add();
    auto& counters = pool.at(0).counters;
    (backend == shadows ? counters.shadow_same : counters.shadow_other).add();
  }

  Comparison comparison{pool, {"round_robin", "1", "", 7}, {"adaptive", "2", "", 8}, 5'000};
};

}  // namespace

TEST_CASE_METHOD(Compared, "A comparison weighs picks by what their backends then take", "[observe][shadow]") {
  picked(0, 1);
  picked(0, 1);
  picked(1, 1);
  answer(0, 4, 30);
  answer(1, 2, 10);
  comparison.look();
  // A minute later the first is fast: picks of that time alone are weighed by it.
  picked(0, 0);
  answer(0, 1, 2);
  const auto status = comparison.status(nowNs() + 60'000'000'000);
  CHECK(status.picks() == 4);
  CHECK(status.differedShare() == Approx(0.5));
  CHECK(status.strategy.weighed_picks == 4);
  CHECK(status.strategy.meanMs() == Approx((2 * 30 + 10 + 2) / 4.0).epsilon(0.001));
  CHECK(status.shadow.meanMs() == Approx((3 * 10 + 2) / 4.0).epsilon(0.001));
  CHECK(status.backends[0].strategy_picks == 3);
  CHECK(status.backends[1].shadow_picks == 3);
  CHECK(status.backends[0].mean_ms == Approx((4 * 30 + 2) / 5.0));
  CHECK(status.since_unix_ns == 5'000);
}

TEST_CASE_METHOD(Compared, "Answers that end after their picks were weighed count for those that follow",
                 "[observe][shadow]") {
  // Every second exchange is slow and ends in the look after that of its pick.
  std::uint64_t now = nowNs();
  for (int i = 0; i < 400; ++i) {
    picked(0, 0);
    picked(0, 0);
    answer(0, 1, 1);
    comparison.look(now += 125'000'000);
    answer(0, 1, 99);
    comparison.look(now += 125'000'000);
  }
  CHECK(comparison.status(now).strategy.meanMs() == Approx(50).epsilon(0.05));
}

TEST_CASE_METHOD(Compared, "Picks of a backend that does not answer wait for its next answer", "[observe][shadow]") {
  picked(0, 1);
  answer(0, 1, 10);
  comparison.look();
  CHECK(comparison.status().shadow.weighed_picks == 0);
  comparison.look();
  answer(1, 1, 40);
  const auto status = comparison.status();
  CHECK(status.shadow.weighed_picks == 1);
  CHECK(status.shadow.meanMs() == Approx(40));
  CHECK(status.strategy.meanMs() == Approx(10));
}

TEST_CASE("What was counted before a comparison began is none of it", "[observe][shadow]") {
  Compared first;
  first.picked(0, 1);
  first.answer(0, 1, 10);
  Comparison second(first.pool, {"a", "", "", 7}, {"b", "", "", 9}, 1);
  first.picked(0, 0);
  first.answer(0, 1, 20);
  const auto status = second.status();
  CHECK(status.same == 1);
  CHECK(status.other == 0);
  CHECK(status.strategy.meanMs() == Approx(20));
  CHECK(second.isOf({"a", "", "", 7}, {"b", "", "", 9}));
  CHECK_FALSE(second.isOf({"a", "", "", 7}, {"b", "", "", 8}));
}

TEST_CASE_METHOD(Compared, "Backends that leave are not listed any more and new ones begin at nothing",
                 "[observe][shadow]") {
  picked(2, 2);
  comparison.look();
  backends.pop_back();
  backends.push_back(backend("d"));
  backends.back()->counters(0).shadow_picks.add(70);
  pool.setBackends(backends);
  comparison.look();
  backends.back()->counters(0).shadow_picks.add();
  const auto status = comparison.status();
  REQUIRE(status.backends.size() == 3);
  CHECK(status.backends[2].id == "d");
  CHECK(status.backends[2].shadow_picks == 1);
  CHECK(status.same == 1);
}

}  // namespace lemonade
