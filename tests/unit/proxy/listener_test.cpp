// SPDX-License-Identifier: MIT
#include "proxy/listener.h"

#include "proxy/proxy.h"

#include <catch2/catch.hpp>

#include <chrono>
#include <cstdint>
#include <vector>

namespace lemonade::proxy {
namespace {

struct Fixture {
  Listener make(std::uint32_t most) {
    config::Listener config;
    config.max_connections = most;
    return Listener({std::make_shared<const config::Listener>(config), {}, {}, &pool}, 3,
                    [this](std::uint32_t worker) { woken.push_back(worker); });
  }

  Quiescence quiescence{3};
  Pool pool{"web", quiescence, 3};
  std::vector<std::uint32_t> woken;
};

}  // namespace

TEST_CASE_METHOD(Fixture, "Listener wakes one worker in turn for room, of those that want it", "[proxy]") {
  Listener listener = make(1);
  REQUIRE(listener.admission().enter());
  listener.admission().startWanting();
  for (const std::uint32_t worker : {0, 2}) listener.at(worker).wants_room = true;
  listener.admission().leave();
  REQUIRE(woken.size() == 1);
  CHECK_FALSE(listener.at(woken[0]).wants_room);
  REQUIRE(listener.admission().enter());
  listener.admission().leave();
  REQUIRE(woken.size() == 2);
  CHECK(woken[0] + woken[1] == 2);
  REQUIRE(listener.admission().enter());
  listener.admission().leave();
  CHECK(woken.size() == 2);  // nobody wants room any more
}

TEST_CASE_METHOD(Fixture, "A listener that is full leaves the places of another alone", "[proxy]") {
  Listener full = make(1), other = make(1);
  REQUIRE(full.admission().enter());
  CHECK_FALSE(full.admission().enter());
  CHECK(other.admission().enter());
  full.at(0).wants_room = true;
  full.admission().startWanting();
  other.admission().leave();
  CHECK(woken.empty());
  CHECK(full.at(0).wants_room);
}

TEST_CASE_METHOD(Fixture, "Listener leads new sessions to the pool that it was last given", "[proxy]") {
  Listener listener = make(1);
  CHECK(&listener.pool() == &pool);
  Pool other("other", quiescence, 3);
  config::Listener config;
  config.idle_timeout = Duration(7);
  config.tcp_keepalive = std::chrono::seconds(3);
  listener.apply({std::make_shared<const config::Listener>(config), {}, {}, &other});
  CHECK(&listener.pool() == &other);
  CHECK(listener.settings().idle_timeout_ns == 7);
  CHECK(listener.settings().keepalive().idle_s == 3);
}

TEST_CASE("shareLimits keeps limits whose sum is no more than there may be, and shares out in proportion otherwise",
          "[proxy]") {
  using Limits = std::vector<std::uint32_t>;
  CHECK(shareLimits({100, 50}, 150) == Limits{100, 50});
  CHECK(shareLimits({100, 50}, 75) == Limits{50, 25});
  CHECK(shareLimits({4'000'000'000, 4'000'000'000}, 100) == Limits{50, 50});
  CHECK(shareLimits({1000, 1}, 10) == Limits{9, 1});
  CHECK(shareLimits({}, 10).empty());
}

}  // namespace lemonade::proxy
