// SPDX-License-Identifier: MIT
#include "health/evidence.h"

#include <catch2/catch.hpp>

#include <random>

using lemonade::health::Evidence;

TEST_CASE("Evidence convicts after five clients that fail here and fifteen that are answered elsewhere", "[health]") {
  Evidence evidence;
  evidence.add({.failed_here = 5});
  CHECK_FALSE(evidence.convicts());
  evidence.add({.answered_elsewhere = 14});
  CHECK_FALSE(evidence.convicts());
  evidence.add({.answered_elsewhere = 1});
  CHECK(evidence.convicts());
  evidence.add({.answered_here = 1});
  CHECK_FALSE(evidence.convicts());
  evidence.forget();
  CHECK(evidence.points() == 0);
}

TEST_CASE("Evidence counts failures here and answers elsewhere only beside each other", "[health]") {
  Evidence evidence;
  evidence.add({.failed_here = 100});
  CHECK(evidence.points() == 0);
  evidence.add({.answered_elsewhere = 6});
  CHECK_FALSE(evidence.convicts());
  evidence.add({.answered_elsewhere = 1});
  CHECK(evidence.convicts());
  evidence.forget();
  evidence.add({.answered_elsewhere = 100});
  CHECK(evidence.points() == 0);
  evidence.add({.failed_here = 4});
  CHECK_FALSE(evidence.convicts());
  evidence.add({.failed_here = 1});
  CHECK(evidence.convicts());
}

TEST_CASE("Evidence convicts a backend that fails most and not one that answers most", "[health]") {
  Evidence most, half;
  for (int i = 0; i < 100 && !most.convicts(); ++i) {
    most.add({.failed_here = 8, .answered_here = 2, .answered_elsewhere = 30});
    half.add({.failed_here = 3, .answered_here = 7, .answered_elsewhere = 30});
  }
  CHECK(most.convicts());
  CHECK_FALSE(half.convicts());
}

TEST_CASE("Evidence convicts a backend that fails all while a third of all clients send garbage", "[health]") {
  // As the coin has it on average: one in four here, and a third of the others fail.
  Evidence evidence;
  int coins = 0;
  while (!evidence.convicts() && coins < 1'000) {
    evidence.add({.failed_here = 1, .failed_elsewhere = 1, .answered_elsewhere = 2});
    coins += 4;
  }
  CHECK(coins == 160);
}

TEST_CASE("Evidence does not convict for what clients send, whatever share of it is garbage", "[health]") {
  const double garbage = GENERATE(0.05, 0.3, 0.5, 0.7, 1.0);
  CAPTURE(garbage);
  std::mt19937 random(1);
  std::bernoulli_distribution coin(0.25), fails(garbage);
  int convicted = 0;
  for (int attack = 0; attack < 20'000; ++attack) {
    Evidence evidence;
    for (int client = 0; client < 60 && !evidence.convicts(); ++client) {
      const bool here = coin(random), failed = fails(random);
      evidence.add({.failed_here = here && failed,
                    .answered_here = here && !failed,
                    .failed_elsewhere = !here && failed,
                    .answered_elsewhere = !here && !failed});
    }
    convicted += evidence.convicts();
  }
  // At most one in 7,500 from where nothing is known.
  CHECK(convicted <= 8);
}

TEST_CASE("Evidence of a backend that many clients spoke for goes down no further and comes back with time",
          "[health]") {
  Evidence evidence;
  evidence.add({.answered_here = 1'000});
  const auto bottom = evidence.points();
  CHECK(bottom == -60);
  evidence.fade();
  CHECK(evidence.points() > bottom);
  for (int i = 0; i < 100; ++i) evidence.fade();
  CHECK(evidence.points() == 0);
  evidence.add({.answered_here = 1'000});
  evidence.add({.failed_here = 13, .answered_elsewhere = 39});
  CHECK(evidence.convicts());
}

TEST_CASE("Evidence convicts a backend that many clients spoke for also where its clients come one at a time",
          "[health]") {
  Evidence evidence;
  evidence.add({.answered_here = 1'000});
  for (int i = 0; i < 13; ++i) {
    CHECK_FALSE(evidence.convicts());
    for (int three = 0; three < 3; ++three) evidence.add({.answered_elsewhere = 1});
    evidence.add({.failed_here = 1});
  }
  CHECK(evidence.convicts());
}
