// SPDX-License-Identifier: MIT
#include "base/pulse.h"

#include <catch2/catch.hpp>

namespace lemonade {

TEST_CASE("A thread owes an answer from when it was asked until it answers") {
  Pulse pulse;
  pulse.begin();
  CHECK(pulse.owesSince() == 0);
  pulse.ask(5);
  CHECK(pulse.owesSince() == 5);
  pulse.ask(9);
  CHECK(pulse.owesSince() == 5);
  pulse.answer();
  CHECK(pulse.owesSince() == 0);
  pulse.ask(11);
  CHECK(pulse.owesSince() == 11);
}

TEST_CASE("A thread that has ended owes nothing nor does the one that begins after it") {
  Pulse pulse;
  pulse.ask(5);
  CHECK(pulse.owesSince() == 0);
  pulse.begin();
  pulse.ask(6);
  pulse.end();
  CHECK(pulse.owesSince() == 0);
  pulse.begin();
  CHECK(pulse.owesSince() == 0);
}

}  // namespace lemonade
