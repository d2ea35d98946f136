// SPDX-License-Identifier: MIT
#include "proxy/admission.h"

#include <catch2/catch.hpp>

#include <thread>
#include <vector>

using lemonade::proxy::Admission;

TEST_CASE("Admission gives out exactly as many places as its limit", "[proxy]") {
  Admission admission(2);
  CHECK(admission.enter());
  CHECK(admission.enter());
  CHECK_FALSE(admission.enter());
  CHECK_FALSE(admission.hasRoom());
  admission.leave();
  CHECK(admission.hasRoom());
  CHECK(admission.enter());
}

TEST_CASE("Admission tells of each place that is given back while somebody wants one", "[proxy]") {
  Admission admission(2);
  int told = 0;
  admission.onRoom([&] { ++told; });
  (void)admission.enter();
  (void)admission.enter();
  admission.leave();
  CHECK(told == 0);
  (void)admission.enter();
  admission.startWanting();
  admission.leave();
  CHECK(told == 1);
  admission.leave();
  CHECK(told == 2);
  (void)admission.enter();
  admission.stopWanting();
  admission.leave();
  CHECK(told == 2);
}

TEST_CASE("Admission says that there is room when its limit is raised", "[proxy]") {
  Admission admission(1);
  int told = 0;
  admission.onRoom([&] { ++told; });
  (void)admission.enter();
  admission.setLimit(2);
  CHECK(told == 1);
  CHECK(admission.enter());
}

TEST_CASE("Admission tells when the last place is given back once it was asked to", "[proxy]") {
  Admission admission(5);
  int told = 0;
  admission.onEmpty([&] { ++told; });
  (void)admission.enter();
  admission.leave();
  CHECK(told == 0);
  (void)admission.enter();
  (void)admission.enter();
  admission.notifyWhenEmpty();
  admission.leave();
  CHECK(told == 0);
  admission.leave();
  CHECK(told == 1);
}

TEST_CASE("Admission never exceeds its limit under contention", "[proxy]") {
  Admission admission(3);
  std::atomic<int> now{0}, most{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int round = 0; round < 20'000; ++round) {
        if (!admission.enter()) continue;
        const int held = ++now;
        for (int seen = most; held > seen && !most.compare_exchange_weak(seen, held);) {
        }
        --now;
        admission.leave();
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK(most <= 3);
  CHECK(admission.taken() == 0);
}
