// SPDX-License-Identifier: MIT
//
// A checker that hangs on the thread of checks. Time is the test's; the threads are real.
#include "health/checks.h"

#include "health/monitor.h"
#include "loopback.h"
#include "scripted_checker.h"
#include "support/deadline.h"
#include "support/manual_clock.h"

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace lemonade;
using health::Checks;
using health::Monitor;
using test::Port;
using test::ScriptedChecker;

namespace {

constexpr Duration kPatience = 1h;

/// Two pools, the checker of the first of which hangs as soon as it is told to, until it is let go.
struct TwoPools {
  TwoPools() {
    checks.setPatience(kPatience);
    hanging_script.on_event = [this](const auto& event) {
      while (hangs) {
        in_call = true;
        std::this_thread::sleep_for(1ms);  // what hangs, not what the test waits by
      }
      in_call = false;
      return answer_is_wrong ? sdk::fail("status 500") : ScriptedChecker::passWhenConnected(event);
    };
    time.loop.start();
  }
  ~TwoPools() {
    hangs = false;
    stopChecking();
    CHECK(comesBack());  // before what it works with goes
    time.loop.run([&] { (void)checks.stop(10s); });
    CHECK(allThreadsEnd());
    time.loop.stop();
  }

  void stopChecking() {
    time.loop.run([&] {
      hanging.stop();
      sound.stop();
    });
  }
  void begin() {
    time.loop.run([&] {
      hanging.configure(kSettings);
      sound.configure(kSettings);
      const auto checker = hanging_script.instance();
      instance = checker;
      hanging.setChecker(checker);
      sound.setChecker(sound_script.instance());
      hanging.setBackends({suspect});
      sound.setBackends({other});
    });
  }
  template <class F>
  auto at(F read) {
    decltype(read()) value{};
    time.loop.run([&] { value = read(); });
    return value;
  }
  bool eventually(const std::function<bool()>& reached) {
    const test::Deadline limit(10s);
    while (!at(reached) && !limit.over()) std::this_thread::yield();
    return at(reached);
  }
  /// Time passes until that holds, a second at a time.
  bool inTime(const std::function<bool()>& reached) {
    const test::Deadline limit(10s);
    while (!at(reached) && !limit.over()) time.pass(1s);
    return at(reached);
  }
  /// The checker of the first pool hangs.
  void hang() {
    hangs = true;
    REQUIRE(inTime([&] { return in_call.load(); }));
  }
  /// It has hung for too long, and somebody looks.
  void leaveBehind() {
    time.pass(kPatience);
    CHECK(at([&] { return checks.look(); }));
    CHECK(at([&] { return checks.leftBehind(); }) == 1);
    REQUIRE(hanging.standsIn());
  }
  bool allThreadsEnd() {
    return std::ranges::all_of(started, [](const auto& prober) { return prober->awaitEnd(10s); });
  }
  /// Once the call ends, so does the thread that was left behind.
  bool comesBack() {
    return eventually([&] {
      (void)checks.look();
      return checks.leftBehind() == 0;
    });
  }

  // No check runs out of time, however much of it the test has pass meanwhile.
  static constexpr health::CheckSettings kSettings{.interval = 10s, .timeout = 1'000h, .rise = 1, .fall = 1};

  std::atomic<bool> hangs{false}, in_call{false}, answer_is_wrong{false};
  Port suspect_port{Port::Kind::kListening}, other_port{Port::Kind::kListening};
  std::shared_ptr<Backend> suspect = suspect_port.backend("suspect"), other = other_port.backend("other");
  ScriptedChecker hanging_script, sound_script;
  std::weak_ptr<const health::Checker> instance;  // the one that hangs
  test::ManualLoop time;
  std::vector<std::shared_ptr<health::Prober>> started;
  Checks checks{time.loop, [this](const auto& prober) {
                  started.push_back(prober);
                  Checks::startThread(prober);
                }};
  Monitor hanging{time.loop, checks, [](const auto&) {}};
  Monitor sound{time.loop, checks, [](const auto&) {}};
};

}  // namespace

TEST_CASE("A checker that hangs is left behind and the checks of other pools go on", "[health][checks]") {
  TwoPools pools;
  pools.begin();
  REQUIRE(pools.inTime([&] { return pools.hanging.counters().checks.value() >= 2; }));
  pools.hang();
  pools.leaveBehind();
  CHECK_FALSE(pools.sound.standsIn());
  const auto before = pools.sound.counters().checks.value();
  CHECK(pools.inTime([&] { return pools.sound.counters().checks.value() >= before + 2; }));
  CHECK(pools.sound.counters().failures.value() == 0);
  CHECK(pools.suspect->healthy());
  CHECK(pools.other->healthy());
}

TEST_CASE("Backends whose checker hangs keep their state and are checked by connecting", "[health][checks]") {
  TwoPools pools;
  SECTION("one that is up goes down where it can not be connected to, and comes back") {
    pools.begin();
    REQUIRE(pools.inTime([&] { return pools.hanging.counters().checks.value() >= 1; }));
    pools.hang();
    pools.leaveBehind();
    const auto address = pools.suspect_port.address();
    pools.suspect_port = Port(Port::Kind::kRefusing);  // of another number
    CHECK(pools.inTime([&] { return !pools.suspect->healthy(); }));
    const Port again(address);
    CHECK(pools.inTime([&] { return pools.suspect->healthy(); }));
  }
  SECTION("one that is down for what it answered stays down") {
    pools.answer_is_wrong = true;
    pools.begin();
    REQUIRE(pools.inTime([&] { return !pools.suspect->healthy(); }));
    pools.hang();
    pools.leaveBehind();
    const auto before = pools.hanging.counters().checks.value();
    CHECK(pools.inTime([&] { return pools.hanging.counters().checks.value() >= before + 3; }));
    CHECK_FALSE(pools.suspect->healthy());
    CHECK(pools.suspect->healthReason() == "status 500");
  }
}

TEST_CASE("A checker that comes back after it was left behind is let go of", "[health][checks]") {
  TwoPools pools;
  pools.begin();
  pools.hang();
  pools.leaveBehind();
  ScriptedChecker next;
  pools.time.loop.run([&] { pools.hanging.setChecker(next.instance()); });
  CHECK_FALSE(pools.hanging.standsIn());
  CHECK(pools.inTime([&] { return next.begun > 0; }));
  CHECK_FALSE(pools.instance.expired());
  pools.hangs = false;
  CHECK(pools.comesBack());
  CHECK(pools.eventually([&] { return pools.instance.expired(); }));
  // It is not called any more, not even to end what it has begun.
  CHECK(pools.hanging_script.ended < pools.hanging_script.begun);
  CHECK(pools.hanging_script.destroyed == 0);
  pools.stopChecking();
  CHECK(pools.eventually([&] { return next.destroyed == 1; }));
}

TEST_CASE("Stopping waits for a checker that hangs no longer than it is told to", "[health][checks]") {
  TwoPools pools;
  pools.begin();
  pools.hang();
  pools.stopChecking();
  const test::Deadline limit(5s);
  CHECK_FALSE(pools.at([&] { return pools.checks.stop(50ms); }));
  CHECK_FALSE(limit.over());
  CHECK(pools.hanging_script.destroyed == 0);
  // It comes back after everything is gone, and ends by itself.
  pools.hangs = false;
  CHECK(pools.allThreadsEnd());
  CHECK(pools.hanging_script.begun == pools.hanging_script.ended);
}
