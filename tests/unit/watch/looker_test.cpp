// SPDX-License-Identifier: MIT
#include "watch/looker.h"

#include "support/deadline.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <future>

using namespace lemonade;
using namespace lemonade;
using namespace std::chrono_literals;

TEST_CASE("Looker goes on without a look that hangs, asks less often and hears when it is over", "[app]") {
  Looker looker;
  std::promise<void> server_is_back;
  const auto back = server_is_back.get_future().share();
  const test::Stopwatch stopwatch;
  CHECK_FALSE(looker.look([back] { back.wait(); }, 20ms));
  CHECK(stopwatch.elapsed() < 5s);
  CHECK(looker.resting());
  CHECK(test::eventually([&] { return !looker.resting(); }));
  const auto seen = std::make_shared<std::atomic<bool>>(false);
  CHECK(looker.look([seen] { *seen = true; }, 10s));
  CHECK(*seen);
  CHECK_FALSE(looker.look([back] { back.wait(); }, 1ms));
  server_is_back.set_value();
  CHECK(test::eventually([&] { return !looker.resting(); }));
}

TEST_CASE("Looker leaves a bounded number of threads behind", "[app]") {
  Looker looker;
  std::promise<void> server_is_back;
  const auto back = server_is_back.get_future().share();
  const auto began = std::make_shared<std::atomic<int>>(0);
  for (int i = 0; i < 100; ++i)
    CHECK_FALSE(looker.look(
        [back, began] {
          ++*began;
          back.wait();
        },
        1ms));
  CHECK(*began <= 64);
  server_is_back.set_value();
  CHECK(test::eventually([&] { return looker.look([] {}, 10s); }));
}

TEST_CASE("Looker waits no longer once it is stopped", "[app]") {
  Looker looker;
  std::promise<void> server_is_back;
  const auto back = server_is_back.get_future().share();
  std::promise<void> begun;
  auto looking = std::async(std::launch::async, [&] {
    return looker.look(
        [&begun, back] {
          begun.set_value();
          back.wait();
        },
        1h);
  });
  begun.get_future().wait();
  looker.stop();
  CHECK_FALSE(looking.get());
  CHECK_FALSE(looker.look([] {}, 1h));
  server_is_back.set_value();
}

TEST_CASE("Looker takes a look that throws for one that saw nothing", "[app]") {
  Looker looker;
  CHECK(looker.look([] { throw std::bad_alloc(); }, 10s));
}
