// SPDX-License-Identifier: MIT
#include "base/worst.h"

#include "base/lag.h"
#include "support/manual_clock.h"

#include <catch2/catch.hpp>

using namespace lemonade;
using namespace std::chrono_literals;

TEST_CASE("The worst is remembered for one to two windows", "[worst]") {
  test::ManualClock clock;
  clock.advance(Duration(Worst::kWindowNs - clock.nowNs() % Worst::kWindowNs));  // a window begins
  Worst worst;
  CHECK(worst.of(clock.nowNs()) == 0);
  worst.note(clock.nowNs(), 7);
  worst.note(clock.nowNs(), 5);
  CHECK(worst.of(clock.nowNs()) == 7);
  clock.advance(59s);
  CHECK(worst.of(clock.nowNs()) == 7);
  worst.note(clock.nowNs(), 3);
  CHECK(worst.of(clock.nowNs()) == 7);
  clock.advance(1s);
  CHECK(worst.of(clock.nowNs()) == 3);
  clock.advance(30s);
  CHECK(worst.of(clock.nowNs()) == 0);
}

TEST_CASE("A window that is long past is not taken for one of now", "[worst]") {
  test::ManualClock clock;
  Worst worst;
  worst.note(clock.nowNs(), 7);
  clock.advance(10min);  // an even number of windows: the same cell
  CHECK(worst.of(clock.nowNs()) == 0);
  worst.note(clock.nowNs(), 2);
  CHECK(worst.of(clock.nowNs()) == 2);
}

TEST_CASE("The worst of more than there is room for is as much as there is room for", "[worst]") {
  Worst worst;
  worst.note(1, UINT64_MAX);
  CHECK(worst.of(1) == (std::uint64_t{1} << 44) - 1);
}

TEST_CASE("A thread that comes round in time has no lag and one that does not has it for a while", "[worst]") {
  test::ManualClock clock;
  Lag lag;
  lag.due(clock.nowNs());
  clock.advance(900us);
  lag.done(clock.nowNs());
  CHECK(lag.worst(clock.nowNs()) == 0);
  lag.due(clock.nowNs());
  clock.advance(250ms);
  lag.done(clock.nowNs());
  CHECK(lag.worst(clock.nowNs()) == 250'000'000);
  clock.advance(25s);
  lag.due(clock.nowNs());
  lag.done(clock.nowNs());
  CHECK(lag.worst(clock.nowNs()) == 250'000'000);
  clock.advance(1min);
  CHECK(lag.worst(clock.nowNs()) == 0);
}

TEST_CASE("A thread that hangs has a lag that grows while it does", "[worst]") {
  test::ManualClock clock;
  Lag lag;
  lag.due(clock.nowNs() + 250'000'000);
  clock.advance(250ms);
  CHECK(lag.worst(clock.nowNs()) == 0);
  clock.advance(3s);
  CHECK(lag.worst(clock.nowNs()) == 3'000'000'000);
  clock.advance(5min);
  CHECK(lag.worst(clock.nowNs()) == 303'000'000'000);
  lag.due(0);  // it has ended
  CHECK(lag.worst(clock.nowNs()) == 0);
}
