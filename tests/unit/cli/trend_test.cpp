// SPDX-License-Identifier: MIT
#include "cli/trend.h"

#include <catch2/catch.hpp>

#include <vector>

using lemonade::cli::Trends;

TEST_CASE("Trends are what totals grow by a second", "[cli]") {
  Trends trends;
  trends.add("a", 100, 10);
  CHECK(trends.rates("a").empty());
  trends.add("a", 150, 12);
  trends.add("b", 1, 12);
  trends.add("a", 150, 13);
  CHECK(trends.rates("a") == std::vector<double>{25, 0});
  CHECK(trends.rates("b").empty());
}

TEST_CASE("A total that went back is no rate and only so many are kept", "[cli]") {
  Trends trends;
  trends.add("a", 100, 0);
  trends.add("a", 10, 1);
  CHECK(trends.rates("a") == std::vector<double>{0});
  trends.add("a", 20, 2);
  trends.add("a", 30, 2);  // no time has passed
  CHECK(trends.rates("a") == std::vector<double>{0, 10});
  for (std::size_t i = 0; i < 2 * Trends::kKept; ++i) trends.add("a", 30, 3 + static_cast<double>(i));
  CHECK(trends.rates("a").size() == Trends::kKept);
}
