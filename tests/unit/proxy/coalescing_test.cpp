// SPDX-License-Identifier: MIT
//
// When events are let gather: turns of a worker in a time of the test's own.
#include "proxy/coalescing.h"

#include <catch2/catch.hpp>

using lemonade::proxy::Coalescing;

namespace {

struct Worker {
  /// A second of turns, each 100 us long, of which `busy_us` are spent at work on so many events; what the last one
  /// says.
  std::uint64_t run(std::uint64_t busy_us, int events) {
    std::uint64_t gather = 0;
    for (int turn = 0; turn < 10'000; ++turn) {
      now += 100'000;
      cpu += busy_us * 1'000;
      gather = coalescing.endTurn(now, events, [this] { return cpu; });
    }
    return gather;
  }

  Coalescing coalescing;
  std::uint64_t now = 1;
  std::uint64_t cpu = 0;
};

}  // namespace

TEST_CASE("Coalescing leaves a worker alone that is idle most of the time", "[proxy]") {
  CHECK(Worker().run(10, 8) == 0);
  CHECK(Worker().run(45, 8) == 0);
}

TEST_CASE("Coalescing lets the events of a busy worker gather until it is idle again", "[proxy]") {
  Worker worker;
  CHECK(worker.run(70, 8) == Coalescing::kGatherNs);
  // Gathering makes it less busy, which is no reason to stop.
  CHECK(worker.run(35, 8) == Coalescing::kGatherNs);
  CHECK(worker.run(20, 8) == 0);
  CHECK(worker.run(35, 8) == 0);
}

TEST_CASE("Coalescing does not wait for events that are not to be expected", "[proxy]") {
  CHECK(Worker().run(90, 1) == 0);
  CHECK(Worker().run(90, 4) == Coalescing::kGatherNs);
}

TEST_CASE("Coalescing does not wait where a turn has enough events", "[proxy]") {
  CHECK(Worker().run(90, Coalescing::kEnough) == 0);
  CHECK(Worker().run(90, Coalescing::kEnough - 1) == Coalescing::kGatherNs);
}
