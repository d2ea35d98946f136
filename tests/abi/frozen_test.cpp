// SPDX-License-Identifier: MIT
//
// The real balancer runs plugins that were built from the headers of ABI 1.0, and of 1.1: all of what those promised
// them happens. They count what they see, and as a "surprise" what their version ruled out.
#include "e2e/reloading.h"
#include "support/server.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>

namespace lemonade::test {
namespace {

/// Asks by HTTP and finishes, which ends the session; the body of the answer.
std::string ask(Balancer& balancer) {
  Socket socket = balancer.connect();
  socket.send("GET / HTTP/1.1\r\n\r\n");
  socket.finishSending();
  const std::string answer = socket.receiveAll();
  return answer.substr(answer.rfind('\n') + 1);
}

struct Frozen {
  Frozen() : balancer(config("com.example.frozen")) {}

  Config config(const std::string& strategy) const {
    return unwatched()
        .raw("plugins.directories", "[\"" LEMONADE_FROZEN_PLUGINS "\"]")
        .set("strategy.algorithm", strategy)
        .set("strategy.options.step", 1)
        .set("health.checker", "com.example.frozen_checker")
        .set("health.interval", "100ms")
        .set("health.timeout", "2s")
        .raw("metrics.sinks", R"(["prometheus", "com.example.frozen_sink"])")
        .set("metrics.interval", "100ms")
        .backend("a", a.address())
        .backend("b", b.address());
  }

  std::string ask() { return test::ask(balancer); }
  /// What a plugin counted.
  double counted(const std::string& what, const std::string& id = "com.example.frozen") {
    return balancer.metric("lemonade_plugin_frozen_" + what, {"plugin=\"" + id + "\""});
  }
  bool noSurprises() {
    return counted("surprises_total") == 0 && counted("surprises_total", "com.example.frozen_cpp") == 0 &&
           counted("surprises_total", "com.example.frozen_checker") == 0 &&
           counted("surprises_total", "com.example.frozen_sink") == 0;
  }

  Server a{http("a")}, b{http("b")};
  Balancer balancer;
};

}  // namespace

TEST_CASE_METHOD(Frozen, "The balancer runs a strategy built with ABI 1.0", "[abi]") {
  std::string answers;
  for (int i = 0; i < 20; ++i) answers += ask();
  CHECK(std::count(answers.begin(), answers.end(), 'a') == 10);
  CHECK(std::count(answers.begin(), answers.end(), 'b') == 10);
  CHECK(counted("picks_total") == 20);
  CHECK(eventually([&] { return counted("closes_total") == 20; }));
  CHECK(counted("connects_total") == 20);
  CHECK(counted("exchanges_total") == 20);
  CHECK(eventually([&] { return counted("beats_total") > 2; }));
  CHECK(counted("posts_total") == 1);
  CHECK(balancer.process().countLog("a strategy of ABI 1.0 is here", 1) == 1);
  CHECK(noSurprises());
}

TEST_CASE_METHOD(Frozen, "The balancer runs a checker and a sink built with ABI 1.0", "[abi]") {
  CHECK(eventually([&] { return counted("ended_total", "com.example.frozen_checker") > 4; }));
  CHECK(counted("probes_total", "com.example.frozen_checker") >= counted("ended_total", "com.example.frozen_checker"));
  CHECK(eventually([&] { return counted("flushes_total", "com.example.frozen_sink") > 2; }));
  CHECK(eventually([&] { return counted("families", "com.example.frozen_sink") > 10; }));

  const auto rendered = balancer.admin("/metrics/com.example.frozen_sink");
  CHECK(rendered.status == 200);
  CHECK(contains(rendered.head, "text/x-frozen"));
  CHECK(contains(rendered.body, "lemonade_backend_sessions_total "));

  a.stop();
  CHECK(eventually([&] { return counted("health_events_total", "com.example.frozen_sink") > 0; }));
  CHECK(eventually([&] { return balancer.backend("a")->getValue<std::string>("state") == "down"; }));
  CHECK(ask() == "b");
  CHECK(noSurprises());
}

TEST_CASE_METHOD(Frozen, "A strategy built with SDK 1.0 takes over from one built with ABI 1.0 and gives back",
                 "[abi]") {
  for (int i = 0; i < 3; ++i) (void)ask();
  const auto first = Socket::connect(balancer.address());  // picked by the one, ended under the other
  REQUIRE(eventually([&] { return counted("connects_total") == 4; }));
  reload(balancer, config("com.example.frozen_cpp"));
  CHECK(strategy(balancer)->getValue<std::string>("id") == "com.example.frozen_cpp");
  // Four turns were taken: the fifth is the first backend's again.
  CHECK(ask() == "a");
  CHECK(ask() == "b");
  CHECK(counted("picks_total", "com.example.frozen_cpp") == 2);
  CHECK(eventually([&] { return counted("closes_total", "com.example.frozen_cpp") == 2; }));

  reload(balancer, config("com.example.frozen"));
  CHECK(ask() == "a");
  CHECK(eventually([&] { return counted("posts_total") == 2; }));
  CHECK(noSurprises());
}

TEST_CASE("Every pick of a strategy built with ABI 1.0 is followed by its end", "[abi]") {
  Server a{http("a")};
  RefusingPort refusing;
  BlackHole hole;
  const auto config = [&](bool with_hole) {
    auto made = unwatched()
                    .raw("plugins.directories", "[\"" LEMONADE_FROZEN_PLUGINS "\", \"" + testPluginFolder() + "\"]")
                    .set("strategy.algorithm", "com.example.frozen")
                    .set("proxy.retries", 2)
                    .set("runtime.drain_timeout_millis", 300)
                    .backend("refusing", refusing.address())
                    .backend("a", a.address());
    return with_hole ? made.backend("hole", hole.address()) : made;
  };
  Balancer balancer(config(true));
  const auto counted = [&](const std::string& what) {
    return balancer.metric("lemonade_plugin_frozen_" + what, {"plugin=\"com.example.frozen\""});
  };
  CHECK(ask(balancer) == "a");  // refused by the first
  CHECK(eventually([&] { return counted("closes_total") == 1; }));
  CHECK(counted("failures_total") == 1);

  const auto leaves = Socket::connect(balancer.address());  // the third, which neither answers nor refuses
  REQUIRE(eventually([&] { return counted("picks_total") == 3; }));
  reload(balancer, config(false));
  CHECK(eventually([&] { return counted("abandons_total") == 1; }));
  CHECK(counted("surprises_total") == 0);
}

TEST_CASE_METHOD(Frozen, "A strategy built with ABI 1.0 runs where backends have zones and labels", "[abi]") {
  Balancer zoned(config("com.example.frozen")
                     .set("runtime.zone", "eu-1a")
                     .backend("c", a.address(), "zone = \"eu-1a\"\nlabels = { role = \"primary\" }"));
  std::string answers;
  for (int i = 0; i < 9; ++i) answers += test::ask(zoned);
  CHECK(std::count(answers.begin(), answers.end(), 'a') == 6);
  CHECK(std::count(answers.begin(), answers.end(), 'b') == 3);
  CHECK(zoned.metric("lemonade_plugin_frozen_surprises_total") == 0);
}

TEST_CASE("The balancer runs strategies built with ABI and SDK 1.1", "[abi]") {
  const std::string id = GENERATE("com.example.frozen_1_1", "com.example.frozen_1_1_cpp");
  CAPTURE(id);
  Server near{named("near")}, costly{named("costly")}, meant{named("meant")};
  const auto config = [&](const std::string& of_near) {
    return unwatched()
        .raw("plugins.directories", "[\"" LEMONADE_FROZEN_PLUGINS "\", \"" + testPluginFolder() + "\"]")
        .set("strategy.algorithm", id)
        .set("runtime.zone", "eu-1a")
        .backend("meant", meant.address(), "zone = \"eu-1b\"\nlabels = { listener = \"second\", rack = \"7\" }")
        .backend("costly", costly.address(), "zone = \"eu-1a\"\noptions = { cost = 2.5 }")
        .backend("near", near.address(), "zone = \"eu-1a\"\n" + of_near)
        .listener("second", "default");
  };
  Balancer balancer(config(""));
  const auto counted = [&](const std::string& what) {
    return balancer.metric("lemonade_plugin_frozen_1_1_" + what + "_total", {"plugin=\"" + id + "\""});
  };
  for (int i = 0; i < 3; ++i) {
    CHECK(balancer.ask("default") == "near");
    CHECK(balancer.ask("second") == "meant");
  }
  reload(balancer, config("options = { spare = true }"));
  CHECK(balancer.ask("default") == "costly");
  CHECK(balancer.ask("second") == "meant");
  CHECK(counted("picks") == 8);
  CHECK(counted("local") == 8);
  CHECK(counted("surprises") == 0);
  if (id != "com.example.frozen_1_1") return;  // the other does not count these
  CHECK(counted("by_label") == 4);
  CHECK(counted("near") == 4);
}

TEST_CASE("The balancer hands session records to a sink built with ABI 1.1", "[abi]") {
  Server a{http("a")};
  Balancer balancer(unwatched()
                        .raw("plugins.directories", "[\"" LEMONADE_FROZEN_PLUGINS "\", \"" + testPluginFolder() + "\"]")
                        .raw("metrics.sinks", R"(["prometheus", "com.example.frozen_1_1_sink"])")
                        .set("health.checker", "com.example.optimist")
                        .backend("a", a.address()));
  const auto counted = [&](const std::string& what) {
    return balancer.metric("lemonade_plugin_frozen_1_1_" + what + "_total");
  };
  for (int i = 0; i < 5; ++i) CHECK(ask(balancer) == "a");
  CHECK(eventually([&] { return counted("sessions") == 5; }));
  CHECK(counted("bytes") > 0);
  CHECK(counted("errors") == 0);
  CHECK(httpGet(balancer.adminAddress(), "/api/v1/reopen", "POST").status == 200);
  CHECK(counted("reopened") == 1);
  CHECK(counted("lost") == 0);
  CHECK(counted("sink_surprises") == 0);
}

}  // namespace lemonade::test
