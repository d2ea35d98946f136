// SPDX-License-Identifier: MIT
#include "cli/place.h"

#include "cli/client.h"

#include <catch2/catch.hpp>

#include <string>

using namespace lemonade::cli;

namespace {

std::string placed(const std::string& text) {
  const auto place = parsePlace(text);
  return place ? place.value().text() : "error";
}

}  // namespace

TEST_CASE("A place is a Unix socket or an address with a port", "[cli]") {
  CHECK(placed("/run/a.sock") == "unix:/run/a.sock");
  CHECK(placed("unix:/run/a.sock") == "unix:/run/a.sock");
  CHECK(placed("10.0.0.1:9090") == "10.0.0.1:9090");
  CHECK(placed("[::1]:9090") == "[::1]:9090");
  CHECK(placed("lb.example:9090") == "lb.example:9090");
  CHECK(placed("http://lb.example:9090/") == "lb.example:9090");
}

TEST_CASE("What is no place is refused with the mend", "[cli]") {
  for (const char* text : {"", "unix:", "nowhere", "10.0.0.1", ":9090", "host:", "host:x", "[::1]"}) {
    CAPTURE(text);
    CHECK(placed(text) == "error");
  }
  CHECK_THAT(parsePlace("nowhere").error().message, Catch::Contains("unix:/run/lemonade/admin.sock"));
}

TEST_CASE("Names are encoded as parts of a path", "[cli]") {
  CHECK(encoded("web-1") == "web-1");
  CHECK(encoded("unix:/a b?c#d%") == "unix%3A%2Fa%20b%3Fc%23d%25");
}
