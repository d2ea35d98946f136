// SPDX-License-Identifier: MIT
//
// Sinks that behave at first and then crash or hang: they lose what is theirs, and neither another sink nor a reload
// nor a stop waits for them.
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

/// A sink that turns bad beside one that does not; clients come and go all the time.
struct Watched {
  Watched(const std::string& misdeed, const std::string& function)
      : config(unwatched()
                   .raw("metrics.sinks", "[\"prometheus\", \"" + late.id() + "\"]")
                   .raw("metrics.options.\"" + late.id() + "\"", late.options(misdeed, ", in = \"" + function + "\""))
                   .set("metrics.interval", "100ms")
                   .raw("plugins.directories", late.directories())
                   .set("runtime.background_timeout_millis", 500)
                   .backend("a", a.address())),
        balancer(config, lettingThingsLie()),
        visitors(balancer.address(), [](Socket& client) { return !client.receiveLine().empty(); }) {}

  HttpAnswer scrape() { return httpGet(balancer.adminAddress(), "/metrics/" + late.id()); }
  bool broken() {
    return eventually([&] {
      return pluginStatus(balancer, late.id())->getValue<std::string>("state") == "broken" &&
             balancer.metric("lemonade_sink_broken", {label()}) == 1;
    });
  }
  std::string label() const { return "sink=\"" + late.id() + "\""; }
  /// The next version, which does nothing wrong, takes its place.
  void replace() {
    late.become("1.1.0");
    const Stopwatch watch;
    reload(balancer, Config(config).raw("metrics.options.\"" + late.id() + "\"", late.options("none")));
    CHECK(watch.elapsed() < 5'000ms * timeFactor());
    CHECK(pluginStatus(balancer, late.id())->getValue<std::string>("state") == "running");
    CHECK(balancer.metric("lemonade_sink_broken", {label()}) == 0);
    CHECK(scrape().status == 200);
  }
  bool endsInTime() {
    visitors.end();
    CHECK(visitors.served() > 0);
    CHECK(visitors.failed() == 0);
    const Stopwatch watch;
    const int code = balancer.stop();
    return code == 0 && watch.elapsed() < 3'000ms * timeFactor();
  }

  LatePlugin late{"late_sink"};
  Server a{named("a")};
  Config config;
  Balancer balancer;
  Visitors visitors;
};

}  // namespace

TEST_CASE("A sink that crashes late is told nothing any more, and all others are", "[containment]") {
  const std::string misdeed = GENERATE("segv", "abort", "terminate", "exit");
  CAPTURE(misdeed);
  Watched watched(misdeed, "flush");
  watched.late.turn();
  const auto line = watched.balancer.process().waitForLog("the sink is called no more");
  CHECK(field(line, "sink") == watched.late.id());
  CHECK(watched.broken());
  const auto refused = watched.scrape();
  CHECK(refused.status == 503);
  CHECK(contains(refused.body, "is called no more"));
  watched.replace();
  CHECK(watched.endsInTime());
}

TEST_CASE("A sink that hangs late is an overrun, said once, and a reload and a stop leave it behind", "[containment]") {
  const std::string misdeed = GENERATE("spin", "block");
  CAPTURE(misdeed);
  Watched watched(misdeed, "flush");
  watched.late.turn();
  const auto line = watched.balancer.process().waitForLog("sink overruns its deadline");
  CHECK(field(line, "sink") == watched.late.id());
  CHECK(field(line, "function") == "flush");
  CHECK(watched.balancer.metric("lemonade_sink_overruns_total", {watched.label()}) == 1);
  CHECK(eventually([&] { return watched.balancer.metric("lemonade_metrics_dropped_total", {watched.label()}) > 0; }));
  SECTION("where it is replaced") { watched.replace(); }
  SECTION("where it is not") {}
  CHECK(watched.balancer.process().countLog("sink overruns its deadline", 1) == 1);
  CHECK(watched.endsInTime());
}

TEST_CASE("A sink may take until its deadline, however short the limit of a hang", "[containment]") {
  Server a(named("a"));
  const std::string slow = "com.example.slow";
  Balancer balancer(unwatched()
                        .raw("metrics.sinks", "[\"prometheus\", \"" + slow + "\"]")
                        .raw("metrics.options.\"" + slow + "\"", "{delay = \"500ms\"}")
                        .set("metrics.interval", "1500ms")
                        .set("plugins.hang_limit", "50ms")
                        .backend("a", a.address()));
  REQUIRE(balancer.ask() == "a");  // of which the sink takes half a second to hear, too
  REQUIRE(eventually([&] { return balancer.metric("lemonade_uptime_seconds") >= 4; }));
  CHECK(balancer.metric("lemonade_sink_overruns_total", {slow}) == 0);
  CHECK(pluginStatus(balancer, slow)->getValue<std::string>("state") == "running");
  CHECK(balancer.process().countLog("a call of a plugin is slow") == 0);
}

TEST_CASE("Who asks a sink for metrics that crashes or hangs late is told so, and others are answered",
          "[containment]") {
  const std::string misdeed = GENERATE("segv", "terminate", "spin");
  CAPTURE(misdeed);
  Watched watched(misdeed, "render");
  REQUIRE(watched.scrape().status == 200);
  watched.late.turn();
  const auto first = watched.scrape();
  CHECK(first.status == 503);
  CHECK(contains(first.body, watched.late.id()));
  CHECK(watched.scrape().status == 503);
  CHECK(watched.broken());
  watched.replace();
  CHECK(watched.endsInTime());
}

}  // namespace lemonade::test
