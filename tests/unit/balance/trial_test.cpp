// SPDX-License-Identifier: MIT
#include "balance/trial.h"

#include <catch2/catch.hpp>

#include <memory>
#include <vector>

using lemonade::Trial;
using Arm = Trial::Arm;

TEST_CASE("Trial counts what came of each client once and forgets those that say nothing", "[balance]") {
  const auto trial = std::make_shared<Trial>();
  Trial::Part here(*trial, Arm::kHere), elsewhere(*trial, Arm::kElsewhere), silent(*trial, Arm::kHere), none;
  here.asked(8);
  here.failed();
  here.answered();
  elsewhere.answered();
  silent.asked(8);
  silent.dismiss();
  none.failed();
  auto outcomes = trial->take(1'000);
  CHECK(outcomes.failed_here == 1);
  CHECK(outcomes.answered_here == 0);
  CHECK(outcomes.failed_elsewhere == 0);
  CHECK(outcomes.answered_elsewhere == 1);
  outcomes = trial->take(1'000);
  CHECK(outcomes.failed_here + outcomes.answered_elsewhere == 0);
}

TEST_CASE("Trial counts a client that waits too long since its last byte once, also one that left", "[balance]") {
  const auto trial = std::make_shared<Trial>();
  Trial::Part waits(*trial, Arm::kHere), goes_on(*trial, Arm::kHere), leaves(*trial, Arm::kElsewhere);
  for (auto* part : {&waits, &goes_on, &leaves}) part->asked(800);
  leaves.left();
  goes_on.asked(1'600);
  CHECK(trial->take(800).failed_here == 0);
  auto outcomes = trial->take(1'000);
  CHECK(outcomes.failed_here == 1);
  CHECK(outcomes.failed_elsewhere == 1);
  outcomes = trial->take(1'000);
  CHECK(outcomes.failed_here + outcomes.failed_elsewhere == 0);
  // What it says then changes nothing about that; an answer does come.
  waits.asked(1'600);
  waits.answered();
  outcomes = trial->take(2'000);
  CHECK(outcomes.answered_here == 1);
  CHECK(outcomes.failed_here == 1);  // goes_on
}

TEST_CASE("Trial has slots again when clients are done and outlives its backend", "[balance]") {
  auto trial = std::make_shared<Trial>();
  for (int round = 0; round < 3; ++round) {
    std::vector<Trial::Part> parts;
    for (int i = 0; i < 200; ++i) {
      parts.emplace_back(*trial, Arm::kHere);
      parts.back().asked(80);
    }
    CHECK(trial->take(1'000).failed_here == 128);
    for (auto& part : parts) part.answered();
    CHECK(trial->take(0).answered_here == 200);
  }
  Trial::Part last(*trial, Arm::kHere);
  last.asked(80);
  trial.reset();
  last.failed();
}

TEST_CASE("Trial counts which answers were slow where there is a time for that", "[balance]") {
  const auto trial = std::make_shared<Trial>();
  const auto answer = [&](Arm arm, std::uint64_t took_ns) { Trial::Part(*trial, arm).answered(took_ns); };
  answer(Arm::kHere, 100);
  trial->setSlowNs(50);
  answer(Arm::kHere, 51);
  answer(Arm::kHere, 50);
  answer(Arm::kElsewhere, 60);
  answer(Arm::kElsewhere, 0);
  const auto outcomes = trial->take(0);
  CHECK(outcomes.slow_here == 1);
  CHECK(outcomes.slow_elsewhere == 1);
  CHECK(outcomes.answered_here == 3);
  CHECK(outcomes.answered_elsewhere == 2);
}

TEST_CASE("Trial counts a client that waits long as slow once, answered or not", "[balance]") {
  const auto trial = std::make_shared<Trial>();
  trial->setSlowNs(500);
  Trial::Part waits(*trial, Arm::kHere), left(*trial, Arm::kElsewhere), quick(*trial, Arm::kHere);
  for (auto* part : {&waits, &left, &quick}) part->asked(800);
  left.left();
  quick.answered(100);
  auto outcomes = trial->take(0, 800);
  CHECK(outcomes.slow_here + outcomes.slow_elsewhere == 0);
  outcomes = trial->take(0, 1'600);
  CHECK(outcomes.slow_here == 1);
  CHECK(outcomes.slow_elsewhere == 1);
  waits.asked(1'600);  // it says more
  CHECK(trial->take(0, 2'400).slow_here == 0);
  waits.answered(900);
  outcomes = trial->take(0, 3'200);
  CHECK(outcomes.slow_here == 0);
  CHECK(outcomes.answered_here == 1);
}
