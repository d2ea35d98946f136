// SPDX-License-Identifier: MIT
#include "process/descriptor_budget.h"

#include <catch2/catch.hpp>

#include <fstream>
#include <string>

using namespace lemonade;
using namespace lemonade;

namespace {

constexpr std::uint64_t kOpen = 20;

config::Config serving(std::uint32_t max_connections, std::size_t backends = 2) {
  config::Config config;
  config.runtime.workers = 2;
  config.listeners.front().max_connections = max_connections;
  config.pools.front().backends.resize(backends);
  return config;
}

}  // namespace

TEST_CASE("A limit that suffices lets max_connections in", "[app]") {
  const auto config = serving(1'000);
  const auto wanted = shareOut(config, kOpen, 0).wanted;
  const auto budget = shareOut(config, kOpen, wanted);
  CHECK(budget.suffices());
  CHECK(budget.sessions == 1'000);
  CHECK(wanted == budget.reserve + 2'000);
  CHECK(shareOut(config, kOpen, wanted * 10).sessions == 1'000);
}

TEST_CASE("A limit that does not suffice leaves the sessions half of what is not reserved", "[app]") {
  const std::uint64_t limit = GENERATE(64, 100, 256, 1'024, 20'000);
  const auto budget = shareOut(serving(1'000'000), kOpen, limit);
  CAPTURE(limit, budget.reserve);
  CHECK_FALSE(budget.suffices());
  CHECK(budget.sessions == (limit - budget.reserve) / 2);
  CHECK(budget.spare > 0);
  CHECK(budget.reserve + 2 * budget.sessions <= limit);
  // What is kept beyond what the process has open itself.
  CHECK(budget.reserve >= kOpen + 12);
}

TEST_CASE("One client is let in however low the limit, and nothing is held back from it", "[app]") {
  const auto budget = shareOut(serving(10), kOpen, 20);
  CHECK(budget.sessions == 1);
  CHECK(budget.spare == 0);
}

TEST_CASE("More backends and workers and listeners keep more from the sessions", "[app]") {
  const auto few = shareOut(serving(1'000'000), kOpen, 20'000);
  CHECK(shareOut(serving(1'000'000, 100), kOpen, 20'000).reserve == few.reserve + 98);
  auto config = serving(1'000'000);
  config.runtime.workers = 4;
  CHECK(shareOut(config, kOpen, 20'000).reserve > few.reserve);
  config.listeners.front().addresses.resize(config.listeners.front().addresses.size() + 3);
  CHECK(shareOut(config, kOpen + 1, 20'000).reserve > few.reserve + 4);
}

TEST_CASE("What the limit allows is said with the mend", "[app]") {
  const auto text = shareOut(serving(10'000), kOpen, 1'024).text(10'000);
  CHECK_THAT(text, Catch::Contains("10000 clients at once need a limit of") && Catch::Contains("which is 1024 here") &&
                       Catch::Contains("LimitNOFILE"));
}

TEST_CASE("Descriptors that can be opened are closed again", "[app]") {
  const auto before = openDescriptors();
  CHECK(canOpen(20));
  CHECK(openDescriptors() == before);
  CHECK_FALSE(canOpen(descriptorLimit()));
  CHECK(openDescriptors() == before);
}

TEST_CASE("The table of descriptors is as large as was asked for, and stays so where the limit forbids more", "[app]") {
  const auto size = [] {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
      if (line.starts_with("FDSize:")) return std::stoull(line.substr(7));
    return 0ULL;
  };
  const auto limit = descriptorLimit();
  REQUIRE(limit > 900);
  growDescriptorTable(900);
  CHECK(size() >= 900);
  const auto open = openDescriptors();
  const auto before = size();
  growDescriptorTable(limit + 1);
  growDescriptorTable(0);
  CHECK(size() == before);
  CHECK(openDescriptors() == open);
}
