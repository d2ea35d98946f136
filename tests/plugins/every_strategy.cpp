// SPDX-License-Identifier: MIT
//
// What holds for every shipped strategy.
#include "support/allocation_count.h"
#include "support/strategy_fixture.h"

#include <lemonade/sdk/sampling.hpp>

#include <catch2/catch.hpp>

#include <atomic>
#include <numeric>
#include <thread>

using namespace lemonade::test;

namespace {

const std::vector<std::string> kFiles = {LEMONADE_STRATEGY_FILES};
const std::size_t kSizes[] = {1, 2, 5, 16, 17, 100, 10'000};

std::string anyFile() { return GENERATE(from_range(kFiles)); }

/// False of those that draw or hash: they share evenly only in the long run.
bool goesByTurns(const std::string& file) {
  return file.find("random_two") == std::string::npos && file.find("consistent_hash") == std::string::npos;
}

std::size_t total(const std::vector<std::size_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::size_t{0});
}

}  // namespace

TEST_CASE("no backends give none", "[strategy]") {
  StrategyFixture strategy(anyFile(), {});
  CHECK(strategy.pick() == LEMONADE_PICK_NONE);
  strategy.dropPrepared();
  CHECK(strategy.pick() == LEMONADE_PICK_NONE);
}

TEST_CASE("backends of which none is eligible give none", "[strategy]") {
  auto backends = weightedBackends({1, 0});
  backends[0].healthy = false;
  StrategyFixture strategy(anyFile(), backends);
  CHECK(strategy.pick() == LEMONADE_PICK_NONE);
}

TEST_CASE("a single backend gets everything", "[strategy]") {
  StrategyFixture strategy(anyFile(), equalBackends(1));
  strategy.open(0, 1000);
  for (int i = 0; i < 10; ++i) strategy.fail(0);
  CHECK(strategy.shares(20)[0] == 20);
}

TEST_CASE("idle equals share evenly", "[strategy]") {
  const auto file = anyFile();
  StrategyFixture strategy(file, equalBackends(4));
  if (goesByTurns(file)) {
    CHECK(strategy.shares(40) == std::vector<std::size_t>{10, 10, 10, 10});
  } else {
    for (const auto count : strategy.shares(4'000)) CHECK(count == Approx(1'000).margin(120));
  }
}

TEST_CASE("unhealthy backends and weight zero get nothing in pools of any size", "[strategy]") {
  const auto file = anyFile();
  for (const auto size : kSizes) {
    auto backends = equalBackends(size);
    for (std::size_t i = 0; i < size; ++i) {
      if (i % 5 == 1) backends[i].healthy = false;
      if (i % 5 == 3) backends[i].weight = 0;
    }
    StrategyFixture strategy(file, backends);
    const auto counts = strategy.shares(1000);
    CHECK(total(counts) == 1000);
    for (std::size_t i = 0; i < size; ++i)
      if (i % 5 == 1 || i % 5 == 3) REQUIRE(counts[i] == 0);
  }
}

TEST_CASE("tried backends are not answered again", "[strategy]") {
  const auto file = anyFile();
  for (const auto size : {std::size_t{2}, std::size_t{5}, std::size_t{20}}) {
    StrategyFixture strategy(file, equalBackends(size));
    std::vector<std::uint32_t> tried;
    for (std::size_t attempt = 0; attempt < size; ++attempt) {
      const auto index = strategy.pick(tried);
      REQUIRE(index < size);
      REQUIRE(std::find(tried.begin(), tried.end(), index) == tried.end());
      tried.push_back(index);
    }
    CHECK(strategy.pick(tried) == LEMONADE_PICK_NONE);
  }
}

TEST_CASE("a full backend gets nothing until a session ends", "[strategy]") {
  const auto file = anyFile();
  for (const auto size : {std::size_t{3}, std::size_t{30}}) {
    auto backends = equalBackends(size);
    for (auto& backend : backends) backend.max_connections = 2;
    StrategyFixture strategy(file, backends);
    for (std::size_t i = 0; i < 2 * size; ++i) {
      const auto index = strategy.pick();
      REQUIRE(index < size);
      strategy.open(index);
      REQUIRE(strategy.stats(index).active <= 2);
    }
    CHECK(strategy.pick() == LEMONADE_PICK_NONE);
    strategy.close(1);
    CHECK(strategy.pick() == 1);
  }
}

TEST_CASE("without a prepared object picks stay in order", "[strategy]") {
  auto backends = equalBackends(5);
  backends[2].healthy = false;
  StrategyFixture strategy(anyFile(), backends);
  strategy.dropPrepared();
  const auto counts = strategy.shares(400);
  CHECK(total(counts) == 400);
  CHECK(counts[2] == 0);
  CHECK(strategy.pick({0, 1, 3}) == 4);
  CHECK(strategy.pick({0, 1, 3, 4}) == LEMONADE_PICK_NONE);
}

TEST_CASE("a smaller view after a larger one is picked from safely", "[strategy]") {
  StrategyFixture strategy(anyFile(), equalBackends(16));
  strategy.shares(13);
  strategy.publish(equalBackends(3));
  CHECK(total(strategy.shares(30)) == 30);
  strategy.publish(equalBackends(200));
  CHECK(total(strategy.shares(30)) == 30);
}

TEST_CASE("pick allocates nothing", "[strategy]") {
  const auto file = anyFile();
  for (const auto size : kSizes) {
    const auto before_prepare = lemonade::test::allocationsOfThisThread();
    StrategyFixture strategy(file, equalBackends(size));
    CHECK(lemonade::test::allocationsOfThisThread() > before_prepare);
    const std::vector<std::uint32_t> tried = {0};
    const auto before = lemonade::test::allocationsOfThisThread();
    for (std::uint64_t i = 0; i < 1000; ++i) {
      strategy.advance(100'000);
      strategy.pickAs(0, lemonade::sdk::nthRandom(5, i), tried);
    }
    CHECK(lemonade::test::allocationsOfThisThread() == before);
  }
}

TEST_CASE("allocations inside a plugin are counted", "[strategy]") {
  StrategyFixture strategy(kFiles.back(), equalBackends(5));
  const auto before = lemonade::test::allocationsOfThisThread();
  strategy.prepareAgain();  // the fixture itself allocates nothing here
  CHECK(lemonade::test::allocationsOfThisThread() > before);
}

TEST_CASE("several workers at once get answers that are in order", "[strategy][threads]") {
  const auto size = GENERATE(std::size_t{5}, std::size_t{50});
  auto backends = equalBackends(size);
  backends[1].healthy = false;
  const auto file = anyFile();
  CAPTURE(file, size);
  StrategyFixture strategy(file, backends);
  std::vector<std::atomic<std::size_t>> counts(size);
  std::atomic<int> wrong{0};
  {
    std::vector<std::jthread> workers;
    for (std::uint32_t worker = 0; worker < 4; ++worker)
      workers.emplace_back([&, worker] {
        for (std::uint64_t i = 0; i < 5'000; ++i) {
          const auto random = lemonade::sdk::nthRandom(worker, i);
          const std::vector<std::uint32_t> tried = {random % 2 == 0 ? 0u : 2u};
          const auto index = strategy.pickAs(worker, random, tried);
          if (index >= size || index == 1 || index == tried[0]) {
            ++wrong;
            continue;
          }
          ++counts[index];
          __atomic_fetch_add(&strategy.stats(index).active, 1, __ATOMIC_RELAXED);
          if (i % 4 != 0) __atomic_fetch_sub(&strategy.stats(index).active, 1, __ATOMIC_RELAXED);
        }
      });
  }
  CHECK(wrong == 0);
  for (std::size_t i = 0; i < size; ++i) {
    CAPTURE(i);
    if (i != 1) CHECK(counts[i] > 20'000 / size / 4);
  }
}
