// SPDX-License-Identifier: MIT
//
// Pools and listeners that come and go under load, often.
#include "e2e/changing_pools.h"

#include <catch2/catch.hpp>

namespace lemonade::test {

TEST_CASE("Two hundred reloads that add and remove pools and listeners fail no request, and nothing grows",
          "[heavy][pools][reload]") {
  changePools(200);
}

}  // namespace lemonade::test
