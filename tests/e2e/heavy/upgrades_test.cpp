// SPDX-License-Identifier: MIT
//
// Upgrades under load: no request fails, and no connection is cut. LEMONADE_TEST_UPGRADES is how many a run has;
// between two of them ten thousand requests are answered in a long run, a few in a short one.
#include "e2e/restless.h"
#include "e2e/supervised.h"
#include "support/facts.h"

#include <catch2/catch.hpp>

namespace lemonade::test {

namespace {

constexpr int kLong = 20;

int upgrades() {
  const char* text = std::getenv("LEMONADE_TEST_UPGRADES");
  return text == nullptr ? 3 : std::max(1, std::atoi(text));
}

}  // namespace

TEST_CASE("Clients at full speed see no failure while the balancer is upgraded again and again", "[heavy][upgrade]") {
  Server server(http("a"));
  Balancer balancer(supervised()
                        .set("runtime.drain_timeout_millis", 600'000)
                        .set("runtime.accept_timeout_millis", 700'000)
                        .backend("a", server.address()),
                    kSupervised);
  Load load(balancer);
  const std::size_t between = upgrades() < kLong ? 100 : 10'000;
  for (int i = 0; i < upgrades(); ++i) {
    upgrade(balancer);
    const std::size_t before = load.served();
    CHECK(eventually([&] { return load.served() >= before + between; }, 120s));
  }
  load.check(upgrades());
  CHECK(eventually([&] { return stops(balancer.process()) == std::size_t(upgrades()); }, 30s));
}

}  // namespace lemonade::test
