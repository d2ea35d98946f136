// SPDX-License-Identifier: MIT
#include "simulation/chart.h"

#include <catch2/catch.hpp>

#include <string>

using namespace lemonade::sim;

namespace {

Result resultOf(float ms, std::uint64_t errors = 0) {
  Result result;
  result.latencies_ms.assign(1'000, ms);
  result.errors = errors;
  return result;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t times = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++times;
  return times;
}

}  // namespace

TEST_CASE("A chart has a line for each strategy and names that do no harm", "[simulation]") {
  const auto svg = chart("a < b & c", {{"one", resultOf(5)}, {"two", resultOf(50)}});
  CHECK_THAT(svg, Catch::StartsWith("<svg ") && Catch::EndsWith("</svg>\n"));
  CHECK_THAT(svg, Catch::Contains("a &lt; b &amp; c"));
  CHECK(count(svg, "<path stroke") == 4);  // and the samples beside the names
  CHECK_THAT(svg, Catch::Contains(">1 ms<") && Catch::Contains(">100 ms<"));
}

TEST_CASE("A line of a chart ends where requests were not answered", "[simulation]") {
  const auto points = [](const std::string& svg) { return count(svg, "L"); };
  const auto all = chart("", {{"one", resultOf(5)}});
  const auto most = chart("", {{"one", resultOf(5, 100)}});
  CHECK(points(most) < points(all) / 2);
  Result nothing;
  nothing.errors = 10;
  CHECK(count(chart("", {{"one", nothing}}), "<path stroke") == 1);
}
