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
  explicit Checked(const std::string& misdeed)
      : config(unwatched()
                   .realChecks()
                   .set("health.checker", late.id())
                   .raw("health.options", late.options(misdeed))
                   .raw("plugins.directories", late.directories())
                   .set("health.fall", 2)
                   .set("runtime.background_timeout_millis", 500)
                   .backend("a", a.address())
                   .backend("b", b.address())),
        balancer(config),
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
  bool broken() {
    return pluginStatus(balancer, late.id())->getValue<std::string>("state") == "broken" &&
           balancer.metric("lemonade_health_checker_broken") == 1;
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
  CHECK(checked.broken());
  CHECK(stateOf(checked.balancer, "a") == "up");
  CHECK(stateOf(checked.balancer, "b") == "up");
  CHECK(checked.nobodyNoticed());

  checked.b.stop();
  waitForState(checked.balancer, "b", "down", 20s);
  checked.b.restart();
  waitForState(checked.balancer, "b", "up", 20s);

  // Another version takes over.
  checked.late.become("1.1.0");
  const Stopwatch watch;
  reload(checked.balancer, Config(checked.config).raw("health.options", checked.late.options("none")));
  CHECK(watch.elapsed() < 5'000ms * timeFactor());
  CHECK_FALSE(checked.broken());
  CHECK(pluginStatus(checked.balancer, checked.late.id())->getValue<std::string>("version") == "1.1.0");
  const auto before = checked.balancer.metric("lemonade_health_checks_total");
  CHECK(eventually([&] { return checked.balancer.metric("lemonade_health_checks_total") >= before + 4; }));
  CHECK(checked.endsInTime());
}

TEST_CASE("Neither a reload nor ejections wait for a checker that hangs", "[containment]") {
  Checked checked("spin");
  checked.late.turn();
  const Stopwatch watch;
  reload(checked.balancer, Config(checked.config).set("proxy.retries", 5));
  CHECK(watch.elapsed() < 2'000ms * timeFactor());
  checked.b.stop();
  const auto line = checked.balancer.process().waitForLog("backend is ejected");
  CHECK(field(line, "backend") == "b");
  CHECK(checked.nobodyNoticed());
  CHECK(checked.endsInTime());
}

TEST_CASE("A stop leaves a checker behind that hangs", "[containment]") {
  const std::string misdeed = GENERATE("spin", "block");
  CAPTURE(misdeed);
  Checked checked(misdeed);
  checked.late.turn();
  const auto counted = [&] { return checked.balancer.metric("lemonade_health_checks_total"); };
  // Nothing is checked any more: it hangs.
  auto before = counted();
  REQUIRE(eventually([&] {
    const auto now = counted();
    return std::exchange(before, now) == now;
  }));
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
