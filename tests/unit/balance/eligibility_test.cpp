// SPDX-License-Identifier: MIT
#include "balance/eligibility.h"

#include <catch2/catch.hpp>

using namespace lemonade;

namespace {

using Backends = std::vector<std::shared_ptr<Backend>>;
using Tiers = std::vector<std::vector<std::uint32_t>>;

/// Backends of these priorities.
Backends backendsOf(const std::vector<std::uint32_t>& priorities) {
  Backends backends;
  for (const auto priority : priorities) {
    config::Backend settings;
    settings.id = std::to_string(backends.size());
    settings.priority = priority;
    backends.push_back(std::make_shared<Backend>(settings, *Address::parse("127.0.0.1:80"), 1));
  }
  return backends;
}

}  // namespace

TEST_CASE("Fit backends are eligible in a tier for each priority", "[balance]") {
  const auto backends = backendsOf({5, 0, 5, 0, 9});
  CHECK(chooseEligible(backends, 0).tiers == Tiers{{1, 3}, {0, 2}, {4}});
  (void)backends[1]->setHealth(false, "test");
  backends[3]->setEjected(true, "test");
  CHECK(chooseEligible(backends, 0).tiers == Tiers{{0, 2}, {4}});
}

TEST_CASE("A backend that is not in service is never eligible", "[balance]") {
  const auto backends = backendsOf({0, 0, 0, 0});
  backends[0]->setDraining(true);
  config::Backend off = backends[1]->settings(), weightless = backends[2]->settings();
  off.enabled = false;
  weightless.weight = 0;
  backends[1]->apply(off);
  backends[2]->apply(weightless);
  CHECK(chooseEligible(backends, 1).tiers == Tiers{{3}});
  (void)backends[3]->setHealth(false, "test");
  CHECK(chooseEligible(backends, 0).tiers.empty());
}

TEST_CASE("Below the panic threshold all backends in service are used", "[balance]") {
  const auto backends = backendsOf({0, 0, 0, 0});
  (void)backends[0]->setHealth(false, "test");
  backends[1]->setEjected(true, "test");
  CHECK_FALSE(chooseEligible(backends, 0.5).panic);
  CHECK(chooseEligible(backends, 0.5).tiers == Tiers{{2, 3}});
  (void)backends[2]->setHealth(false, "test");
  CHECK(chooseEligible(backends, 0.5).panic);
  CHECK(chooseEligible(backends, 0.5).tiers == Tiers{{0, 1, 2, 3}});
  CHECK(chooseEligible(backends, 0.25).tiers == Tiers{{3}});
}

TEST_CASE("Ejected backends that pass their checks are used where nobody else is left", "[balance]") {
  const auto backends = backendsOf({0, 0, 0});
  (void)backends[0]->setHealth(false, "test");
  backends[1]->setEjected(true, "test");
  (void)backends[2]->setHealth(false, "test");
  CHECK(chooseEligible(backends, 0).tiers == Tiers{{1}});
}
