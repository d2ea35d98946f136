// SPDX-License-Identifier: MIT
//
// Checks on their way, carried out on the thread of the test. Time is the test's.
#include "health/prober.h"

#include "loopback.h"
#include "scripted_checker.h"
#include "support/deadline.h"
#include "support/manual_clock.h"

#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <string>

using namespace std::chrono_literals;
using namespace lemonade;
using health::Errand;
using health::Prober;
using test::Port;
using test::ScriptedChecker;
using Outcome = health::Probe::Outcome;

namespace {

/// Sends errands off and hears of them.
class Sender : public Errand::Owner {
 public:
  explicit Sender(const Clock& clock) : errand(std::make_shared<Errand>(clock)) { errand->owner = this; }
  ~Sender() override { errand->owner = nullptr; }
  void ended() override { ++times_ended; }
  void lost() override { ++times_lost; }

  std::shared_ptr<Errand> errand;
  int times_ended = 0;
  int times_lost = 0;
};

struct Desk {
  ~Desk() {
    prober.stop();
    while (prober.turn(false)) {
    }
    prober.takeReturned();
    CHECK(prober.underWay().empty());
    CHECK(script.begun == script.ended);
    CHECK_FALSE(script.broken);
  }

  void send(Sender& sender, const Backend& backend, Duration timeout = 2s) {
    sender.errand->checker = checker;
    sender.errand->target = {backend, {}};
    sender.errand->timeout.store(timeout);
    prober.begin(sender.errand);
  }
  /// Works until that holds.
  bool eventually(const std::function<bool()>& reached) {
    const test::Deadline limit(5s);
    while (!reached() && !limit.over()) turn();
    return reached();
  }
  void turn() {
    (void)prober.turn(false);
    prober.takeReturned();
  }

  test::ManualClock clock;
  ScriptedChecker script;
  std::shared_ptr<health::Checker> checker = script.instance();
  Prober prober{clock};
};

}  // namespace

TEST_CASE("Prober brings an errand back with what came of it and takes it again", "[health][prober]") {
  const Port port(Port::Kind::kListening);
  Desk d;
  Sender sender(d.clock);
  for (int i = 1; i <= 3; ++i) {
    d.send(sender, *port.backend());
    CHECK(d.prober.underWay().size() == 1);
    REQUIRE(d.eventually([&] { return sender.times_ended == i; }));
    CHECK(sender.errand->outcome == Outcome::kPassed);
    CHECK(d.prober.underWay().empty());
  }
  CHECK(d.script.begun == 3);
}

TEST_CASE("Prober checks by connecting alone where there is no checker", "[health][prober]") {
  Desk d;
  d.checker = nullptr;
  Sender sender(d.clock);
  SECTION("a backend that accepts passes") {
    const Port port(Port::Kind::kListening);
    d.send(sender, *port.backend());
    REQUIRE(d.eventually([&] { return sender.times_ended == 1; }));
    CHECK(sender.errand->outcome == Outcome::kPassed);
    CHECK(sender.errand->probe.connected());
  }
  SECTION("one that refuses fails in the host's words") {
    const Port port(Port::Kind::kRefusing);
    d.send(sender, *port.backend());
    REQUIRE(d.eventually([&] { return sender.times_ended == 1; }));
    CHECK(sender.errand->outcome == Outcome::kFailed);
    CHECK(sender.errand->probe.reason() == "connection refused");
    CHECK_FALSE(sender.errand->probe.connected());
  }
}

TEST_CASE("Prober ends a check that takes longer than it may", "[health][prober]") {
  const Port port(Port::Kind::kListening);
  Desk d;
  d.script.on_event = ScriptedChecker::waitForEver;
  Sender sender(d.clock);
  d.send(sender, *port.backend(), 2s);
  d.turn();
  d.clock.advance(1'999ms);
  d.turn();
  CHECK(sender.times_ended == 0);
  SECTION("as was said when it began") {
    d.clock.advance(1ms);
    d.turn();
    CHECK(sender.times_ended == 1);
  }
  SECTION("or later, once it is told otherwise") {
    sender.errand->timeout.store(3s);
    d.prober.lookAgain();
    d.clock.advance(1s);
    d.turn();
    CHECK(sender.times_ended == 0);
    d.clock.advance(1ms);
    d.turn();
    CHECK(sender.times_ended == 1);
  }
  CHECK(sender.errand->probe.reason().find("timed out after") == 0);
}

TEST_CASE("Prober lets no check time out while a checker holds all of them up", "[health][prober]") {
  const Port slow(Port::Kind::kListening), waiting(Port::Kind::kListening);
  Desk d;
  bool answered = false;
  d.script.on_event = [&](const auto& event) {
    if (event.type != LEMONADE_PROBE_CONNECTED) return sdk::fail(event);
    return answered ? sdk::pass() : sdk::wait();
  };
  Sender first(d.clock), second(d.clock);
  d.send(first, *waiting.backend("waiting"), 2s);
  d.turn();
  d.clock.advance(1s);
  d.script.on_begin = [&](const auto&) {
    d.clock.advance(10s);  // what a checker does that hangs
    return sdk::wait();
  };
  d.send(second, *slow.backend("slow"), 2s);
  d.turn();
  CHECK(first.times_ended == 0);
  d.clock.advance(999ms);
  d.turn();
  CHECK(first.times_ended == 0);
  d.clock.advance(1ms);
  d.turn();
  CHECK(first.times_ended == 1);
  CHECK(first.errand->outcome == Outcome::kFailed);
}

TEST_CASE("Prober tells nobody of an errand that was cancelled and lets go of its checker", "[health][prober]") {
  const Port port(Port::Kind::kListening);
  Desk d;
  d.script.on_event = ScriptedChecker::waitForEver;
  auto sender = std::make_unique<Sender>(d.clock);
  d.send(*sender, *port.backend());
  SECTION("before it begins") {}
  SECTION("while it is under way") { d.turn(); }
  SECTION("while it is on its way back") {
    d.script.on_event = ScriptedChecker::passWhenConnected;
    const test::Deadline limit(5s);
    while (d.script.ended == 0 && !limit.over()) (void)d.prober.turn(false);
  }
  sender->errand->cancelled.store(true);
  d.prober.lookAgain();
  sender.reset();
  d.checker.reset();
  d.turn();
  d.turn();
  CHECK(d.prober.underWay().empty());
  CHECK(d.script.destroyed == 1);
}
