// SPDX-License-Identifier: MIT
//
// When a strategy on probation is taken back: by numbers, of at least a hundred picks.
#include "app/probation.h"

#include <catch2/catch.hpp>

namespace lemonade::app {
namespace {

/// So many picks that all took so long.
PickFacts facts(std::uint64_t picks, std::uint64_t ns = 500, std::uint64_t unusable = 0, std::uint64_t declined = 0) {
  Histogram times;
  for (std::uint64_t i = 0; i < picks; ++i) times.record(ns);
  return {picks, unusable, declined, times.sum()};
}

}  // namespace

TEST_CASE("A strategy that fares as the one before passes", "[app][probation]") {
  CHECK(judge(facts(1'000), facts(1'000)).empty());
  CHECK(judge(facts(0), facts(1'000)).empty());
}

TEST_CASE("Nobody is judged by fewer than a hundred picks", "[app][probation]") {
  CHECK(judge(facts(1'000), facts(99, 500, 99, 99)).empty());
  CHECK_FALSE(judge(facts(1'000), facts(100, 500, 99)).empty());
}

TEST_CASE("More than one unusable pick in a hundred is too many", "[app][probation]") {
  CHECK(judge(facts(1'000), facts(200, 500, 2)).empty());
  CHECK(judge(facts(1'000), facts(200, 500, 3)) == "1.5 % of 200 picks could not be used, more than 1 %");
}

TEST_CASE("Picks that give no backend are judged against the generation before", "[app][probation]") {
  CHECK(judge(facts(1'000), facts(200, 500, 0, 10)).empty());
  CHECK(judge(facts(1'000), facts(200, 500, 0, 12)) ==
        "6.0 % of 200 picks gave no backend though there was one, after 0.0 %");
  CHECK(judge(facts(1'000, 500, 0, 10), facts(200, 500, 0, 19)).empty());
  CHECK(judge(facts(1'000, 500, 0, 10), facts(200, 500, 0, 21)) ==
        "10.5 % of 200 picks gave no backend though there was one, after 1.0 %");
}

TEST_CASE("A refusal is believed as rarely as would not have the strategy taken back", "[app][probation]") {
  CHECK(believedOneIn(facts(0)) == 20);
  CHECK(believedOneIn(facts(1'000, 500, 0, 4)) == 20);
  CHECK(believedOneIn(facts(1'000, 500, 0, 20)) == 5);
  CHECK(believedOneIn(facts(1'000, 500, 0, 100)) == 0);  // nothing would
}

TEST_CASE("Picks that take ten times as long as before are too slow", "[app][probation]") {
  CHECK(judge(facts(1'000), facts(200, 70'000)).empty());
  CHECK(judge(facts(1'000), facts(200, 2'000'000)) == "the 99th percentile of 200 picks took 1995 us, after 10 us");
  CHECK(judge(facts(1'000, 1'000'000), facts(200, 2'000'000)).empty());
  // One pick that took long is no percentile.
  auto one = facts(200);
  one.times.add(facts(1, 2'000'000).times);
  CHECK(judge(facts(1'000), one).empty());
}

TEST_CASE("What was counted of two stretches of a generation counts together", "[app][probation]") {
  const auto both = facts(100, 500, 3, 5) + facts(200, 500, 1, 2);
  CHECK(both.picks == 300);
  CHECK(both.unusable == 4);
  CHECK(both.declined == 7);
  CHECK(both.times.count == 300);
}

TEST_CASE("What was counted before does not count again", "[app][probation]") {
  const auto since = facts(300, 500, 7, 5) - facts(100, 500, 3, 5);
  CHECK(since.picks == 200);
  CHECK(since.unusable == 4);
  CHECK(since.declined == 0);
  CHECK(since.times.count == 200);
}

}  // namespace lemonade::app
