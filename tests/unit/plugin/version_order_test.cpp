// SPDX-License-Identifier: MIT
#include "plugin/version_order.h"

#include <catch2/catch.hpp>

#include <cstddef>
#include <iterator>
#include <string_view>

namespace {

bool isBelow(std::string_view a, std::string_view b) { return lemonade::plugin::compareVersions(a, b) < 0; }
bool isAbove(std::string_view a, std::string_view b) { return lemonade::plugin::compareVersions(a, b) > 0; }
bool areEqual(std::string_view a, std::string_view b) { return lemonade::plugin::compareVersions(a, b) == 0; }

}  // namespace

TEST_CASE("Versions are ordered as Semantic Versioning has it", "[plugin]") {
  const char* const rising[] = {"0.0.1",          "0.9.0",
                                "1.0.0-1",        "1.0.0-alpha",
                                "1.0.0-alpha.1",  "1.0.0-alpha.2",
                                "1.0.0-alpha.11", "1.0.0-alpha.b",
                                "1.0.0-beta",     "1.0.0",
                                "1.9.9",          "1.10.0",
                                "2.0.0",          "18446744073709551616.0.0"};
  for (std::size_t i = 0; i < std::size(rising); ++i)
    for (std::size_t j = 0; j < std::size(rising); ++j) {
      CAPTURE(rising[i], rising[j]);
      CHECK(isBelow(rising[i], rising[j]) == (i < j));
      CHECK(isAbove(rising[i], rising[j]) == (i > j));
    }
}

TEST_CASE("Build metadata and leading zeros do not count in a version", "[plugin]") {
  CHECK(areEqual("1.0.0+5", "1.0.0+7"));
  CHECK(areEqual("1.0.0-rc.1+a", "1.0.0-rc.1"));
  CHECK(areEqual("01.0.0", "1.0.0"));
}

TEST_CASE("What is no semantic version is below all that are, and equal to its like", "[plugin]") {
  for (const char* odd : {"", "1", "1.2", "1.2.3.4", "v1.2.3", "1.2.x", "1.0.0-", "1.0.0-a..b", "yesterday"}) {
    CAPTURE(odd);
    CHECK(isBelow(odd, "0.0.0-0"));
    CHECK(isAbove("0.0.0-0", odd));
    CHECK(areEqual(odd, "tomorrow"));
  }
}
