// SPDX-License-Identifier: MIT
//
// What operators change of backends, and when it ends, by a clock that the test moves.
#include "app/overrides.h"

#include "support/manual_clock.h"

#include <catch2/catch.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace lemonade;
using namespace lemonade::app;
using namespace std::chrono_literals;
using Action = Override::Action;
using Why = EndedOverride::Why;

namespace {

std::shared_ptr<Backend> makeBackend(const std::string& id, const std::string& address = "10.0.0.1:80") {
  return std::make_shared<Backend>(config::Backend{.id = id, .name = id, .host = "h", .port = 80, .weight = 2},
                                   *Address::parse(address), 1, "web");
}

/// The overrides of a pool "web", and what they have told.
class Overridden {
 public:
  Overridden() { time.loop.start(); }
  ~Overridden() {
    time.loop.run([&] { overrides.stop(); });
    time.loop.stop();
  }

  Override make(const std::shared_ptr<Backend>& backend, Action action, std::uint32_t value = 0,
                Duration lasting = {}) {
    Override made;
    time.loop.run([&] { made = overrides.make(backend, {.action = action, .value = value, .by = "me"}, lasting); });
    return made;
  }
  template <class Do>
  void run(Do what) {
    time.loop.run([&] { what(overrides); });
  }
  std::vector<std::pair<std::string, Why>> ends() {
    std::vector<std::pair<std::string, Why>> ends;
    for (const auto& one : ended) ends.emplace_back(one.backend + " " + nameOf(one.was.action), one.why);
    return ends;
  }

  test::ManualLoop time;
  std::vector<EndedOverride> ended;
  int over = 0;
  Overrides overrides{time.loop, "web", [this](const auto& one) { ended.push_back(one); }, [this] { ++over; }};
};

using Ends = std::vector<std::pair<std::string, Why>>;

}  // namespace

TEST_CASE("What is overridden of a backend counts instead of what is configured", "[overrides]") {
  Overridden o;
  const auto backend = makeBackend("a");
  CHECK(backend->inService());
  SECTION("a weight") {
    CHECK(o.make(backend, Action::kWeight, 7).until_unix_ns == 0);
    CHECK(backend->weight() == 7);
    CHECK(backend->settings().weight == 2);
  }
  SECTION("a limit") {
    o.make(backend, Action::kMaxConnections, 3);
    CHECK(backend->maxConnections() == 3);
  }
  SECTION("a drain") {
    o.make(backend, Action::kDrain);
    CHECK(backend->draining());
    CHECK(backend->enabled());
    CHECK_FALSE(backend->inService());
  }
  SECTION("disabled") {
    o.make(backend, Action::kDisable);
    CHECK_FALSE(backend->enabled());
    CHECK_FALSE(backend->draining());
  }
  CHECK(backend->overrides().size() == 1);
  CHECK(backend->overrides().front().by == "me");
  o.run([&](Overrides& overrides) { CHECK(overrides.takeBack(*backend) == 1); });
  CHECK(backend->overrides().empty());
  CHECK(backend->inService());
  CHECK(backend->weight() == 2);
  CHECK(backend->maxConnections() == 0);
  CHECK(o.ended.front().why == Why::kTakenBack);
}

TEST_CASE("A backend drains or is disabled and has one weight at a time", "[overrides]") {
  Overridden o;
  const auto backend = makeBackend("a");
  o.make(backend, Action::kDrain);
  o.make(backend, Action::kWeight, 7);
  o.make(backend, Action::kDisable);
  o.make(backend, Action::kWeight, 8);
  CHECK(backend->overrides().size() == 2);
  CHECK_FALSE(backend->draining());
  CHECK_FALSE(backend->enabled());
  CHECK(backend->weight() == 8);
  CHECK(o.ended.empty());
}

TEST_CASE("An override that is made for a time ends with it and not before", "[overrides]") {
  Overridden o;
  const auto backend = makeBackend("a");
  const auto made = o.make(backend, Action::kWeight, 7, 500ms);
  CHECK(made.until_unix_ns == made.since_unix_ns + 500'000'000);
  o.make(backend, Action::kMaxConnections, 3);
  o.time.pass(499ms);
  CHECK(backend->weight() == 7);
  CHECK(o.over == 0);
  o.time.pass(1ms);
  CHECK(backend->weight() == 2);
  CHECK(backend->maxConnections() == 3);
  CHECK(o.over == 1);
  CHECK(o.ends() == Ends{{"a weight", Why::kOver}});
}

TEST_CASE("An override that another has replaced does not end it", "[overrides]") {
  Overridden o;
  const auto backend = makeBackend("a");
  o.make(backend, Action::kWeight, 7, 100ms);
  o.make(backend, Action::kWeight, 8, 10s);
  o.time.pass(1s);
  CHECK(backend->weight() == 8);
}

TEST_CASE("A reload ends what lasts until then and leaves what has a time", "[overrides]") {
  Overridden o;
  const auto a = makeBackend("a"), b = makeBackend("b", "10.0.0.2:80");
  o.make(a, Action::kWeight, 7);
  o.make(b, Action::kDrain, 0, 10min);
  o.run([&](Overrides& overrides) { overrides.endWithReload(); });
  CHECK(o.ends() == Ends{{"a weight", Why::kReload}});
  CHECK(a->weight() == 2);
  CHECK(b->draining());
  SECTION("unless the configuration has the backend no more") {
    o.run([&](Overrides& overrides) { overrides.keepOnly({"a"}); });
    CHECK(o.ends().back() == std::pair<std::string, Why>{"b drain", Why::kGone});
    CHECK_FALSE(b->draining());
    o.time.pass(11min);
    CHECK(o.ended.size() == 2);
  }
}

TEST_CASE("What is configured anew counts once an override is over", "[overrides]") {
  Overridden o;
  const auto backend = makeBackend("a");
  o.make(backend, Action::kWeight, 7, 1s);
  o.run([&](Overrides&) {
    auto settings = backend->settings();
    settings.weight = 4;
    backend->apply(settings);
  });
  CHECK(backend->weight() == 7);
  o.time.pass(1'100ms);  // timers of a second and more may be a little late
  CHECK(backend->weight() == 4);
}

TEST_CASE("A backend whose name leads back to its address has its overrides again", "[overrides]") {
  Overridden o;
  o.make(makeBackend("a"), Action::kWeight, 7);
  const auto again = makeBackend("a"), other = makeBackend("a", "10.0.0.9:80");
  o.run([&](Overrides& overrides) { overrides.apply({again, other}); });
  CHECK(again->weight() == 7);
  CHECK(other->weight() == 2);
}

TEST_CASE("Overrides travel to the next process with the time they have left", "[overrides]") {
  Overridden before;
  const auto backend = makeBackend("a");
  before.make(backend, Action::kWeight, 7, 10s);
  before.make(backend, Action::kDisable);
  std::vector<OverrideState> states;
  before.run([&](Overrides& overrides) { overrides.tell(states); });
  REQUIRE(states.size() == 2);

  Overridden after;
  const auto same = makeBackend("a");
  after.time.pass(4s);  // the clock of both begins alike
  SECTION("those of the pool") {
    after.run([&](Overrides& overrides) {
      overrides.inherit(states);
      overrides.apply({same});
    });
    CHECK(same->weight() == 7);
    CHECK_FALSE(same->enabled());
    CHECK(same->overrides().front().by == "me");
    after.time.pass(5s);
    CHECK(same->weight() == 7);
    after.time.pass(1'100ms);
    CHECK(same->weight() == 2);
    CHECK_FALSE(same->enabled());
  }
  SECTION("but not those of another pool or whose time has passed or that are unknown") {
    states[0].until_ns = 1;
    states[1].pool = "other";
    states.push_back(states[0]);
    states.back().until_ns = 0;
    states.back().action = 99;
    after.run([&](Overrides& overrides) {
      overrides.inherit(states);
      overrides.apply({same});
    });
    CHECK(same->overrides().empty());
  }
}
