// SPDX-License-Identifier: MIT
//
// A strategy swapped again and again, without preflights: nothing of a replaced one may stay.
#include "e2e/misfit.h"
#include "support/holdings.h"
#include "support/server.h"

#include <catch2/catch.hpp>
#include <cstdlib>

namespace lemonade::test {
namespace {

/// LEMONADE_TEST_SWAPS, which the long tier sets; few where sanitizers keep every image mapped.
int swaps() {
  const char* text = std::getenv("LEMONADE_TEST_SWAPS");
  return text == nullptr || LEMONADE_SANITIZED != 0 ? 50 : std::atoi(text);
}

}  // namespace

TEST_CASE("Swaps of a plugin that is safe to unmap leave nothing behind", "[swaps]") {
  Server a(named("a"));
  const Misfit misfit;
  Balancer balancer(misfit.config().backend("a", a.address()),
                    {{"LEMONADE_PREFLIGHT", "off"}, {"LEMONADE_LOG", "warn,admin=info,proxy=info,app=info"}});
  const auto swap = [&](int i) {
    const std::string misdeed = i % 2 == 0 ? "none_again" : "none";
    misfit.become(misdeed);
    REQUIRE(reloadNow(balancer).status == 200);
    REQUIRE(balancer.ask() == "a");
    REQUIRE(strategyVersion(balancer) == "1.0.0-" + misdeed);
  };
  // The first ones warm up what grows once: heaps, buffers.
  for (int i = 0; i < 20; ++i) swap(i);
  const auto settle = [&] {
    return eventually([&] { return balancer.metric("lemonade_plugin_mapped_generations") == 3; });
  };
  if (LEMONADE_SANITIZED == 0) REQUIRE(settle());
  const Holdings before(balancer.process().pid());
  for (int i = 0; i < swaps(); ++i) swap(i);
  if (LEMONADE_SANITIZED == 0) CHECK(settle());
  const Holdings after(balancer.process().pid());
  CHECK(after.descriptors <= before.descriptors + 3);
  CHECK(after.threads <= before.threads);
  CHECK(after.admin_threads <= kMostAdminThreads);
  if (LEMONADE_SANITIZED == 0) CHECK(after.mappings <= before.mappings + 20);
  if (LEMONADE_SANITIZED == 0) CHECK(after.resident_kib <= before.resident_kib + 8'192);
}

}  // namespace lemonade::test
