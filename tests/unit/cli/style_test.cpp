// SPDX-License-Identifier: MIT
#include "cli/style.h"

#include "cli/terminal.h"

#include <catch2/catch.hpp>

#include <string>

using namespace lemonade::cli;

TEST_CASE("Table makes columns as wide as they need to be", "[cli]") {
  Table table({"NAME", "N"});
  table.add({{"a"}, number("1")});
  table.add({{"längste"}, number("1000")});
  CHECK(table.text(false) == "NAME        N\na           1\nlängste  1000\n");
}

TEST_CASE("Table paints cells without moving what follows", "[cli]") {
  Table table({"S", "T"});
  table.add({{"up", Colour::kGood}, {"x"}});
  const auto text = table.text(true);
  CHECK_THAT(text, Catch::Contains("\033[32mup\033[0m  x"));
}

TEST_CASE("A sparkline shows the newest values as bars of the largest", "[cli]") {
  CHECK(sparkline({0, 1, 2, 4}, 4) == "▁▃▅█");
  CHECK(sparkline({9, 0, 4}, 2) == "▁█");
  CHECK(sparkline({1}, 3) == "  █");
  CHECK(sparkline({0, 0}, 2) == "▁▁");
  CHECK(sparkline({}, 2) == "  ");
}

TEST_CASE("Numbers are short for people", "[cli]") {
  CHECK(countText(0) == "0");
  CHECK(countText(999) == "999");
  CHECK(countText(12.34) == "12.3");
  CHECK(countText(1'234) == "1.23k");
  CHECK(countText(123'456) == "123k");
  CHECK(countText(4'500'000) == "4.50M");
  CHECK(millisText(0.421) == "0.42 ms");
  CHECK(millisText(12.3) == "12.3 ms");
  CHECK(millisText(1'234) == "1.23 s");
  CHECK(shareText(0.051) == "5.10 %");
  CHECK(spanText(42.9) == "42s");
  CHECK(spanText(312) == "5m 12s");
  CHECK(spanText(12'000) == "3h 20m");
  CHECK(spanText(800'000) == "9d 6h");
}

TEST_CASE("What a name brings does not reach the terminal", "[cli]") {
  CHECK(harmless("a\033[2Jb\nc\x7f") == "a [2Jb c ");
}

TEST_CASE("A line is cut to the columns there are and keeps its colours whole", "[cli]") {
  CHECK(clipped("abcdef", 3) == "abc");
  CHECK(clipped("äöü", 2) == "äö");
  CHECK(clipped("a\033[32mbc\033[0m", 2) == "a\033[32mb\033[0m");
}
