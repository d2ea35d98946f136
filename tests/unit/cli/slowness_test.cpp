// SPDX-License-Identifier: MIT
#include "cli/slowness.h"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace lemonade::cli;

namespace {

/// A backend half of whose answers took so many milliseconds.
Document backend(const std::string& pool, const std::string& id, double millis, int samples = 100) {
  const auto document = parseDocument(R"({"pool":")" + pool + R"(","id":")" + id + R"(","exchange_ms":{"samples":)" +
                                      std::to_string(samples) + R"(,"p50":)" + std::to_string(millis) + "}}");
  REQUIRE(document.ok());
  return document.value();
}

}  // namespace

TEST_CASE("A backend is slow beside the others of its pool and of no other", "[cli]") {
  const auto slow = slowBackends({backend("web", "a", 5), backend("web", "b", 6), backend("web", "c", 50),
                                  backend("db", "a", 90), backend("db", "b", 100)});
  REQUIRE(slow.size() == 1);
  CHECK(slow.at("web/c") == Approx(50.0 / 6));
}

TEST_CASE("Three times as long is not yet slow and a fraction of a millisecond never is", "[cli]") {
  CHECK(slowBackends({backend("web", "a", 5), backend("web", "b", 15)}).empty());
  CHECK(slowBackends({backend("web", "a", 0.1), backend("web", "b", 0.9)}).empty());
  CHECK(slowBackends({backend("web", "a", 5), backend("web", "b", 15.1)}).contains("web/b"));
}

TEST_CASE("A backend that has answered little and one that is alone are not judged", "[cli]") {
  CHECK(slowBackends({backend("web", "a", 5), backend("web", "b", 500, 19)}).empty());
  CHECK(slowBackends({backend("web", "a", 500)}).empty());
  CHECK(slowBackends({}).empty());
}
