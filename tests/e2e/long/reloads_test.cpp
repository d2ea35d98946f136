// SPDX-License-Identifier: MIT
//
// Many reloads, one after another: nothing piles up.
#include "e2e/restless.h"
#include "support/holdings.h"

#include <catch2/catch.hpp>

namespace lemonade::test {

TEST_CASE("Reloads leave no descriptor and no thread behind and memory bounded", "[reload]") {
  Restless restless;
  auto& process = restless.balancer.process();
  // 60 and 6,000 are the same configuration in all that takes descriptors and threads.
  for (int change = 1; change <= 20; ++change) restless.change(change);
  restless.change(60);
  const Holdings before(process.pid());
  const int rounds = longRun() ? 1'000 : 50;
  for (int i = 1; i <= rounds; ++i) restless.change(60 + i);
  restless.change(6'000);
  CHECK(eventually([&] { return Holdings(process.pid()).descriptors <= before.descriptors; }));
  CHECK(eventually([&] { return Holdings(process.pid()).threads <= before.threads; }));
  CHECK(Holdings(process.pid()).admin_threads <= kMostAdminThreads);
  // Sanitizers keep what is freed.
  if (!LEMONADE_SANITIZED) CHECK(Holdings(process.pid()).resident_kib < before.resident_kib + 8 * 1024);
}

}  // namespace lemonade::test
