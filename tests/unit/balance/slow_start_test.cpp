// SPDX-License-Identifier: MIT
#include "balance/slow_start.h"

#include <catch2/catch.hpp>

using namespace lemonade;
using namespace std::chrono_literals;

TEST_CASE("SlowStart gives a tenth at first and everything at the end", "[balance]") {
  const SlowStart line{10s, 1};
  CHECK(line.share(0s) == 0.1);
  CHECK(line.share(500ms) == 0.1);
  CHECK(line.share(5s) == Approx(0.5));
  CHECK(line.share(10s) == 1);
  CHECK(line.share(1h) == 1);
}

TEST_CASE("SlowStart rises faster at first with more aggression", "[balance]") {
  CHECK(SlowStart{10s, 2}.share(2500ms) == Approx(0.5));
  CHECK(SlowStart{10s, 0.5}.share(5s) == Approx(0.25));
}

TEST_CASE("SlowStart gives everything at once where it is off", "[balance]") { CHECK(SlowStart{}.share(0s) == 1); }

TEST_CASE("Ramp starts slowly what joins or recovers but not what was there at the start", "[balance]") {
  constexpr std::uint64_t kSecond = 1'000'000'000;
  const SlowStart how{10s, 1};
  Ramp ramp;
  ramp.observe(true, true, how, kSecond);
  CHECK(ramp.share(how, kSecond) == 1);
  ramp.observe(true, false, how, 2 * kSecond);
  CHECK(ramp.share(how, 2 * kSecond) == 1);
  ramp.observe(false, false, how, 3 * kSecond);
  ramp.observe(true, false, how, 4 * kSecond);
  CHECK(ramp.share(how, 4 * kSecond) == 0.1);
  ramp.observe(true, false, how, 9 * kSecond);
  CHECK(ramp.share(how, 9 * kSecond) == Approx(0.5));
  CHECK(ramp.share(how, 14 * kSecond) == 1);
}

TEST_CASE("Ramp that has ended does not begin anew where the window grows", "[balance]") {
  constexpr std::uint64_t kSecond = 1'000'000'000;
  const SlowStart brief{10s, 1}, longer{1h, 1};
  Ramp ramp;
  ramp.observe(true, false, brief, kSecond);
  ramp.observe(true, false, brief, 20 * kSecond);
  CHECK(ramp.share(longer, 30 * kSecond) == 1);
  ramp.stop();
  ramp.observe(true, false, longer, 40 * kSecond);
  CHECK(ramp.share(longer, 40 * kSecond) == 0.1);
}
