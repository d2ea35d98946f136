// SPDX-License-Identifier: MIT
#include "admin/target.h"

#include <catch2/catch.hpp>

using namespace lemonade::admin;

TEST_CASE("A query is taken apart into decoded parameters", "[admin]") {
  const auto parameters = parseQuery("value=5&for=10m&name=a%26b%3Dc&empty=&flag");
  REQUIRE(parameters);
  CHECK(parameters->at("value") == "5");
  CHECK(parameters->at("for") == "10m");
  CHECK(parameters->at("name") == "a&b=c");
  CHECK(parameters->at("empty").empty());
  CHECK(parameters->at("flag").empty());
  CHECK(parseQuery("value=1&value=2")->at("value") == "2");
  CHECK(parseQuery("")->empty());
  CHECK_FALSE(parseQuery("value=%zz"));
}
