// SPDX-License-Identifier: MIT
//
// Reloads and swaps under load: no request fails. From 200 changes on, the gaps between answers are held to their
// bounds, too.
#include "e2e/restless.h"

#include <catch2/catch.hpp>

namespace lemonade::test {

TEST_CASE("Clients at full speed see no failure while configuration and strategy change all the time",
          "[heavy][reload]") {
  Restless restless;
  Load load(restless.balancer);
  const int changes = reloads();
  for (int change = 1; change <= changes; ++change) {
    restless.change(change);
    if (Restless::swappable(change)) restless.swap(change);
  }
  load.check(changes);
  CHECK(generation(restless.balancer) > changes);
}

}  // namespace lemonade::test
