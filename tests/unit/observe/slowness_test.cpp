// SPDX-License-Identifier: MIT
#include "observe/slowness.h"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace lemonade;

namespace {

/// A backend half of whose answers took so many milliseconds.
BackendStatus backend(const std::string& pool, double millis, std::uint64_t samples = 100) {
  BackendStatus status{};
  status.pool = pool;
  status.exchange_time = {samples, millis, millis, millis};
  return status;
}

/// How many times as long each takes; 0 of one that is not slow.
std::vector<double> judged(std::vector<BackendStatus> backends) {
  judgeSlowness(backends);
  std::vector<double> times;
  for (const auto& one : backends) times.push_back(one.slow ? one.slow->times : 0);
  return times;
}

using Times = std::vector<double>;

}  // namespace

TEST_CASE("A backend is slow beside the others of its pool and of no other", "[status]") {
  std::vector<BackendStatus> backends{backend("web", 5), backend("web", 6), backend("web", 50), backend("db", 90),
                                      backend("db", 100)};
  judgeSlowness(backends);
  for (const std::size_t well : {0, 1, 3, 4}) CHECK_FALSE(backends[well].slow);
  REQUIRE(backends[2].slow);
  CHECK(backends[2].slow->others_ms == 6);
  CHECK(backends[2].slow->times == Approx(50.0 / 6));
}

TEST_CASE("Three times as long is not yet slow and a fraction of a millisecond never is", "[status]") {
  CHECK(judged({backend("web", 5), backend("web", 15)}) == Times{0, 0});
  CHECK(judged({backend("web", 0.1), backend("web", 0.9)}) == Times{0, 0});
  CHECK(judged({backend("web", 5), backend("web", 15.1)})[1] == Approx(3.02));
}

TEST_CASE("A backend that has answered little and one that is alone are not judged", "[status]") {
  CHECK(judged({backend("web", 5), backend("web", 500, 19)}) == Times{0, 0});
  CHECK(judged({backend("web", 500)}) == Times{0});
  CHECK(judged({}).empty());
}
