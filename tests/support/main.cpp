// SPDX-License-Identifier: MIT
//
// The main function of every test binary: Catch2's, which knows of tests that are skipped. To Catch2 they fail, by the
// one exception that skips them; a test that failed otherwise before fails here too.
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

#include "support/skip.h"

#include <iostream>
#include <string>

namespace {

bool skipping = false;  // the test that runs has thrown Skipped
std::uint64_t skipped = 0;
std::uint64_t finished = 0;

CATCH_TRANSLATE_EXCEPTION(const lemonade::test::Skipped& what) {
  skipping = true;
  return "test skipped: " + what.reason;
}

struct SkipListener : Catch::TestEventListenerBase {
  using TestEventListenerBase::TestEventListenerBase;

  void testCaseEnded(const Catch::TestCaseStats& stats) override {
    ++finished;
    if (std::exchange(skipping, false) && stats.totals.assertions.failed == 1) ++skipped;
  }
};

CATCH_REGISTER_LISTENER(SkipListener)

}  // namespace

int main(int count, char** arguments) {
  const int failed = Catch::Session().run(count, arguments);
  if (skipped == 0) return failed;
  std::cout << skipped << " of " << finished << " tests skipped, which are no failures\n";
  if (failed != static_cast<int>(skipped)) return failed;
  return skipped == finished ? lemonade::test::kSkippedCode : 0;
}
