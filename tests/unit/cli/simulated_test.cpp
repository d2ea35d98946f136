// SPDX-License-Identifier: MIT
#include "cli/simulated.h"

#include <catch2/catch.hpp>

#include <limits>
#include <string>

using namespace lemonade::cli;

namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

Simulated simulated() {
  Simulated all{"one is slow", {"a", "b"}, 60, 100, 7, 2, {}};
  all.strategies = {{"good", 1, 2, 3, 1'000, 0, 0, {0.25, 0.75}}, {"bad", 1.5, 30, kNever, 1'000, 12, 4, {0.5, 0.5}}};
  return all;
}

}  // namespace

TEST_CASE("A simulation is shown as what clients saw and where they went", "[cli]") {
  const auto text = showSimulated(simulated(), false);
  CHECK_THAT(text,
             Catch::StartsWith("one is slow\n60 s, 100 requests a second, 2 backends, seed 7 and the 1 after it\n"));
  CHECK_THAT(text, Catch::Contains("never") && Catch::Contains("12") && Catch::Contains("25"));
  CHECK_THAT(text, !Catch::Contains("\033"));
  CHECK_THAT(showSimulated(simulated(), true), Catch::Contains("\033"));
}

TEST_CASE("A simulation as JSON has null for what never came", "[cli]") {
  const auto text = simulatedJson(simulated());
  for (const char* part : {"\"p999_ms\": null", "\"errors\": 12", "\"b\": 0.75", "\"seed\": 7"})
    CHECK_THAT(text, Catch::Contains(part));
}
