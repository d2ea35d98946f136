// SPDX-License-Identifier: MIT
//
// Checkers that behave at first and then crash or hang: clients notice nothing, checks and ejections go on, and neither
// a reload nor a stop waits for them.
#include "e2e/late_plugin.h"
#include "e2e/reloading.h"
#include "e2e/visitors.h"
#include "support/facts.h"
#include "support/server.h"

#include <signal.h>

#include <catch2/catch.hpp>
#include <string>

namespace lemonade::test {
namespace {

/// Two backends, the checker of which turns bad; clients come and go all the time.
struct Checked {
  /// A call may take hang_limit.
  explicit Checked(const std::string& misdeed, const std::string& hang_limit = "500ms",
                   const std::string& containment = "on")
      : config(unwatched()
                   .realChecks()
                   .set("health.checker", late.id())
                   .raw("health.options", late.options(misdeed))
                   .raw("plugins.directories", late.directories())
                   .set("plugins.hang_limit", hang_limit)
                   .set("plugins.containment", containment)
                   .set("health.fall", 2)
                   .set("runtime.background_timeout_millis", 500)
                   .backend("a", a.address())
                   .backend("b", b.address())),
        balancer(config, lettingThingsLie()),
        visitors(balancer.address(), [](Socket& client) { return !client.receiveLine().empty(); }) {
    waitForState(balancer, "a", "up");
    REQUIRE(eventually([&] { return balancer.metric("lemonade_health_checks_total") >= 4; }));
  }

  /// It turned, and connecting has taken its place.
  void turn() {
    late.turn();
    const auto line = balancer.process().waitForLog("the health checker is called no more", 15s);
    CHECK(field(line, "checker") == late.id());
    CHECK(field(line, "version") == "1.0.0");
  }
  /// It turned, and hangs.
  void hang() {
    late.turn();
    const auto line = balancer.process().waitForLog("a call of a plugin is slow and still runs");
    CHECK(field(line, "plugin") == late.id());
    CHECK(field(line, "thread") == "checks");
  }
  std::string state() { return pluginStatus(balancer, late.id())->getValue<std::string>("state"); }
  /// The next version, which does nothing wrong, takes its place.
  void replace() {
    late.become("1.1.0");
    const Stopwatch watch;
    reload(balancer, Config(config).raw("health.options", late.options("none")));
    CHECK(watch.elapsed() < 5'000ms * timeFactor());
    CHECK(state() == "running");
    CHECK(balancer.metric("lemonade_health_checker_broken") == 0);
    CHECK(pluginStatus(balancer, late.id())->getValue<std::string>("version") == "1.1.0");
    const auto before = balancer.metric("lemonade_health_checks_total");
    CHECK(eventually([&] { return balancer.metric("lemonade_health_checks_total") >= before + 4; }));
  }
  /// No client has noticed anything; ends them.
  bool nobodyNoticed() {
    visitors.end();
    CAPTURE(visitors.served(), visitors.failed());
    return visitors.served() > 0 && visitors.failed() == 0;
  }
  bool endsInTime() {
    const Stopwatch watch;
    const int code = balancer.stop();
    return code == 0 && watch.elapsed() < 3'000ms * timeFactor();
  }

  LatePlugin late{"late_checker"};
  Server a{named("a")}, b{named("b")};
  Config config;
  Balancer balancer;
  Visitors visitors;
};

}  // namespace

TEST_CASE("A checker that crashes or hangs late costs no client, and connecting takes its place", "[containment]") {
  const std::string misdeed = GENERATE("spin", "block", "segv", "abort", "terminate", "exit");
  CAPTURE(misdeed);
  Checked checked(misdeed);
  checked.turn();
  CHECK(eventually([&] { return checked.state() == "broken"; }));
  CHECK(checked.balancer.metric("lemonade_health_checker_broken") == 1);
  CHECK(stateOf(checked.balancer, "a") == "up");
  CHECK(stateOf(checked.balancer, "b") == "up");
  CHECK(checked.nobodyNoticed());

  checked.b.stop();
  waitForState(checked.balancer, "b", "down", 20s);
  checked.b.restart();
  waitForState(checked.balancer, "b", "up", 20s);

  checked.replace();
  CHECK(checked.endsInTime());
}

TEST_CASE("Where calls are not broken off, a checker that hangs is left behind with its thread", "[containment]") {
  Checked checked("spin", "200ms", "off");
  checked.turn();
  CHECK(checked.balancer.process().countLog("a health checker hangs, it is left behind with its thread", 1) == 1);
  CHECK(eventually([&] { return checked.state() == "broken"; }));
  CHECK(checked.nobodyNoticed());
  checked.b.stop();
  waitForState(checked.balancer, "b", "down", 20s);
  checked.replace();
  CHECK(checked.endsInTime());
}

TEST_CASE("Neither a reload nor ejections wait for a checker that hangs", "[containment]") {
  Checked checked("spin", "1h");
  checked.hang();
  const Stopwatch watch;
  reload(checked.balancer, Config(checked.config).set("proxy.retries", 5));
  CHECK(watch.elapsed() < 2'000ms * timeFactor());
  CHECK(checked.nobodyNoticed());
  // Where it dies, sessions that are there end; those that come are all served.
  checked.b.stop();
  CHECK(eventually([&] {
    CHECK(checked.balancer.ask() == "a");
    return checked.balancer.process().countLog("backend is ejected") == 1;
  }));
  CHECK(checked.endsInTime());
}

TEST_CASE("A stop leaves a checker behind that hangs", "[containment]") {
  const std::string misdeed = GENERATE("spin", "block");
  CAPTURE(misdeed);
  Checked checked(misdeed, "1h");
  checked.hang();
  CHECK(checked.nobodyNoticed());
  CHECK(checked.endsInTime());
}

TEST_CASE("A checker that throws says nothing, and connecting tells whether a backend is there", "[containment]") {
  Checked checked("throw");
  checked.late.turn();
  const auto line = checked.balancer.process().waitForLog("the health checker failed");
  CHECK(field(line, "checker") == checked.late.id());
  CHECK(stateOf(checked.balancer, "a") == "up");
  CHECK(checked.nobodyNoticed());
  checked.b.stop();
  waitForState(checked.balancer, "b", "down", 20s);
  checked.b.restart();
  waitForState(checked.balancer, "b", "up", 20s);
  CHECK(checked.endsInTime());
}

}  // namespace lemonade::test
