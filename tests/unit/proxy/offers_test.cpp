// SPDX-License-Identifier: MIT
#include "proxy/offers.h"

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

namespace lemonade::proxy {
namespace {

std::vector<std::pair<PoolAtWorker*, std::uint64_t>> taken(Offers& offers) {
  std::vector<std::pair<PoolAtWorker*, std::uint64_t>> taken;
  offers.takeAll([&](PoolAtWorker& at, std::uint64_t offered) { taken.emplace_back(&at, offered); });
  return taken;
}

}  // namespace

TEST_CASE("Offers give each pool once, with the time for which the place was offered", "[proxy]") {
  Offers offers;
  PoolAtWorker one, other;
  one.place_offered = 3;
  offers.put(one);
  other.place_offered = 5;
  offers.put(other);
  const auto all = taken(offers);
  REQUIRE(all.size() == 2);
  CHECK(all[0] == std::pair{&other, std::uint64_t{5}});
  CHECK(all[1] == std::pair{&one, std::uint64_t{3}});
  CHECK(one.place_offered == 0);
  CHECK(taken(offers).empty());
}

TEST_CASE("Offers take a pool again while they are visited", "[proxy]") {
  Offers offers;
  PoolAtWorker at;
  at.place_offered = 1;
  offers.put(at);
  int visits = 0;
  offers.takeAll([&](PoolAtWorker& again, std::uint64_t) {
    if (++visits > 1) return;
    again.place_offered = 2;
    offers.put(again);
  });
  CHECK(visits == 1);
  CHECK(taken(offers).size() == 1);
}

TEST_CASE("Offers lose none that many threads put at once", "[proxy]") {
  constexpr int kRounds = 2'000;
  Offers offers;
  std::array<PoolAtWorker, 3> pools;
  std::atomic<int> put{0};
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (auto& at : pools)
    threads.emplace_back([&] {
      for (int i = 0; i < kRounds; ++i) {
        std::uint64_t nothing = 0;
        if (!at.place_offered.compare_exchange_strong(nothing, 1)) continue;
        put.fetch_add(1);
        offers.put(at);
      }
    });
  int got = 0;
  const auto take = [&] { offers.takeAll([&](PoolAtWorker&, std::uint64_t) { ++got; }); };
  std::thread owner([&] {
    while (!done) take();
  });
  for (auto& thread : threads) thread.join();
  done = true;
  owner.join();
  take();
  CHECK(got == put);
}

}  // namespace lemonade::proxy
