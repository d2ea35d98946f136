// SPDX-License-Identifier: MIT
#include "kernel/shares.h"

#include <catch2/catch.hpp>

using namespace lemonade::kernel;

TEST_CASE("sharesOf makes ranges of weights in lowest terms", "[kernel]") {
  const auto shares = sharesOf({{7, 300}, {8, 100}, {9, 0}});
  CHECK(shares.sum == 4);
  CHECK(shares.ranges == std::vector<Shares::Range>{{7, 0, 2}, {8, 3, 3}});
}

TEST_CASE("sharesOf scales weights down whose sum nft cannot say, and leaves each a chance", "[kernel]") {
  const auto shares = sharesOf({{1, 4'000'000'000}, {2, 2'000'000'000}, {3, 1}});
  REQUIRE(shares.ranges.size() == 3);
  CHECK(shares.sum <= 2'147'483'647u);
  const auto numbers = [&](std::size_t i) { return double(shares.ranges[i].last) - shares.ranges[i].first + 1; };
  CHECK(numbers(0) / numbers(1) == Approx(2).epsilon(1e-6));
  CHECK(numbers(2) >= 1);
  CHECK(shares.ranges[2].last + 1 == shares.sum);
}

TEST_CASE("sharesOf has nothing for nobody", "[kernel]") {
  CHECK(sharesOf({}).sum == 0);
  CHECK(sharesOf({{1, 0}}).ranges.empty());
}
