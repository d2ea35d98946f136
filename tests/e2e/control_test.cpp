// SPDX-License-Identifier: MIT
//
// What operators change of backends while it runs, by the admin API: what clients notice of it, and when it ends.
#include "e2e/controls.h"
#include "e2e/reloading.h"
#include "e2e/supervised.h"
#include "e2e/visitors.h"
#include "support/facts.h"
#include "support/server.h"

#include <catch2/catch.hpp>

#include <map>

using Catch::Contains;

namespace lemonade::test {
namespace {

/// Two backends that say who they are.
struct Pair {
  explicit Pair(Config config = unwatched())
      : base(std::move(config.set("strategy.algorithm", "weighted_round_robin").set("health.slow_start", "0s"))) {}

  Config with(const std::string& of_a = "") const {
    return Config(base).backend("a", a.address(), of_a).backend("b", b.address());
  }
  /// How many of so many clients each serves.
  std::map<std::string, int> shares(int clients) {
    std::map<std::string, int> shares;
    for (int i = 0; i < clients; ++i) ++shares[balancer.ask()];
    return shares;
  }

  const Config base;
  Server a{named("a")};
  Server b{named("b")};
  Balancer balancer{with()};
};

using Shares = std::map<std::string, int>;

}  // namespace

TEST_CASE("A backend that is drained under load gets no new client and no client is lost", "[control_api]") {
  Server a(echo()), b(echo());
  Balancer balancer(unwatched().backend("a", a.address()).backend("b", b.address()));
  Visitors visitors(balancer.address(), [](Socket& client) {
    client.send("word");
    return client.receive(4) == "word";
  });
  const auto sessions = [&](const char* id) {
    return balancer.metric("lemonade_backend_sessions_total", {std::string("backend=\"") + id + "\""});
  };
  REQUIRE(eventually([&] { return sessions("a") > 20 && sessions("b") > 20; }));
  for (int round = 0; round < 3; ++round) {
    const auto answer = ordered(balancer, "a/drain");
    CHECK(answer->getValue<std::string>("id") == "a");
    CHECK(answer->getValue<std::string>("state") == "draining");
    CHECK(answer->getObject("override")->getValue<std::string>("action") == "drain");
    CHECK(answer->getObject("override")->getValue<std::string>("until") == "reload");
    REQUIRE(eventually([&] { return balancer.active("a") == 0; }));
    const double at_a = sessions("a"), at_b = sessions("b");
    REQUIRE(eventually([&] { return sessions("b") > at_b + 20; }));
    CHECK(sessions("a") == at_a);
    CHECK(ordered(balancer, "a/enable")->getValue<int>("taken_back") == 1);
    CHECK(stateOf(balancer, "a") == "up");
    REQUIRE(eventually([&] { return sessions("a") > at_a; }));
  }
  visitors.end();
  CHECK(visitors.served() > 100);
  CHECK(visitors.failed() == 0);
}

TEST_CASE("Sessions at a backend that is drained have the drain timeout to end", "[control_api][relayed]") {
  Pair pair(unwatched().set("runtime.drain_timeout_millis", 500));
  Socket client = pair.balancer.connect();
  const std::string id = client.receiveLine();
  SECTION("and are closed then") {
    CHECK_THAT(ordered(pair.balancer, id + "/drain")->getValue<std::string>("text"),
               Contains("after 500ms are closed"));
    CHECK(client.receiveAll().empty());
    CHECK(eventually([&] { return pair.balancer.active(id) == 0; }));
    CHECK(pair.balancer.metric("lemonade_proxy_drain_closed_total") == 1);
  }
  SECTION("and go on where the backend is enabled before") {
    ordered(pair.balancer, id + "/drain");
    ordered(pair.balancer, id + "/enable");
    // The other backend's session is closed by a drain that began later.
    Socket other = pair.balancer.connect();
    for (std::string at = other.receiveLine(); at == id; at = other.receiveLine()) other = pair.balancer.connect();
    ordered(pair.balancer, (id == "a" ? "b" : "a") + std::string("/drain"));
    CHECK(other.receiveAll().empty());
    CHECK(pair.balancer.active(id) == 1);
  }
  SECTION("and go on at one that is disabled instead") {
    ordered(pair.balancer, id + "/disable");
    Socket other = pair.balancer.connect();
    CHECK(other.receiveLine() != id);
    ordered(pair.balancer, (id == "a" ? "b" : "a") + std::string("/drain"));
    CHECK(other.receiveAll().empty());
    CHECK(pair.balancer.active(id) == 1);
  }
}

TEST_CASE("A weight that is changed changes the shares at once", "[control_api]") {
  Pair pair;
  CHECK(pair.shares(8) == Shares{{"a", 4}, {"b", 4}});
  const auto answer = ordered(pair.balancer, "a/weight?value=3");
  CHECK(answer->getValue<int>("weight") == 3);
  CHECK(answer->getObject("override")->getValue<int>("value") == 3);
  CHECK(answer->getObject("override")->getValue<int>("configured") == 1);
  CHECK(pair.shares(8) == Shares{{"a", 6}, {"b", 2}});
  CHECK(pair.balancer.metric("lemonade_backend_weight", {"backend=\"a\""}) == 3);
  CHECK(pair.balancer.metric("lemonade_backend_override", {"backend=\"a\"", "action=\"weight\""}) == 1);
  ordered(pair.balancer, "a/weight?value=0");
  CHECK(pair.shares(4) == Shares{{"b", 4}});
  ordered(pair.balancer, "a/enable");
  CHECK(pair.shares(8) == Shares{{"a", 4}, {"b", 4}});
  CHECK(pair.balancer.metric("lemonade_backend_override") == 0);
}

TEST_CASE("A limit that is set holds from the next client on and lets more in when it is lifted",
          "[control_api][relayed]") {
  Pair pair;
  ordered(pair.balancer, "b/disable");
  ordered(pair.balancer, "a/max_connections?value=1");
  Socket first = pair.balancer.connect();
  REQUIRE(first.receiveLine() == "a");
  Socket second = pair.balancer.connect();
  REQUIRE(eventually([&] { return pair.balancer.metric("lemonade_proxy_queued_sessions") == 1; }));
  ordered(pair.balancer, "a/max_connections?value=2");
  CHECK(second.receiveLine() == "a");
}

TEST_CASE("What is changed for a time ends with it and says so", "[control_api]") {
  Pair pair;
  const auto made = ordered(pair.balancer, "a/disable?for=400ms");
  CHECK_THAT(made->getValue<std::string>("text"), Contains("a: disable, for 400ms"));
  CHECK_THAT(made->getObject("override")->getValue<std::string>("until"), Contains("T"));
  CHECK(made->getValue<std::string>("state") == "disabled");
  CHECK(pair.shares(2) == Shares{{"b", 2}});
  REQUIRE(eventually([&] { return countOf(pair.balancer, "override_ended") == 1; }));
  CHECK(overridesOf(pair.balancer, "a")->size() == 0);
  CHECK(stateOf(pair.balancer, "a") == "up");
  CHECK(pair.shares(4) == Shares{{"a", 2}, {"b", 2}});
  CHECK(eventsOf(pair.balancer, "override_ended")[0]->getValue<std::string>("text") ==
        "a: disable is over, its time has passed");
}

TEST_CASE("A backend that is disabled is so whatever its checks find", "[control_api]") {
  Server alive(named("alive"));
  RefusingPort dead;
  Balancer balancer(
      unwatched().realChecks().set("health.fall", 1).backend("a", alive.address()).backend("b", dead.address()));
  waitForState(balancer, "b", "down");
  ordered(balancer, "b/disable");
  const auto backend = balancer.backend("b");
  CHECK(backend->getValue<std::string>("state") == "disabled");
  CHECK_FALSE(backend->getValue<bool>("healthy"));
}

TEST_CASE("A reload of the file ends what lasts until then and its lines say so", "[control_api]") {
  Pair pair;
  ordered(pair.balancer, "a/weight?value=3");
  ordered(pair.balancer, "b/weight?value=5&for=1h");
  SECTION("when it changes something") {
    const auto lines = reload(pair.balancer, pair.with("priority = 0").set("proxy.retries", 3));
    CHECK_THAT(lines, Contains("proxy.retries 2 -> 3") &&
                          Contains("backend a: weight 3 is over, a reload of the file was applied"));
  }
  SECTION("and when it is asked for and finds nothing changed") {
    CHECK_THAT(requestReload(pair.balancer).body,
               Contains("backend a: weight 3 is over, a reload of the file was applied"));
  }
  CHECK(pair.balancer.backend("a")->getValue<int>("weight") == 1);
  CHECK(pair.balancer.backend("b")->getValue<int>("weight") == 5);
  CHECK(pair.shares(6) == Shares{{"a", 1}, {"b", 5}});
  CHECK(overridesOf(pair.balancer, "a")->size() == 0);
  CHECK(overridesOf(pair.balancer, "b")->size() == 1);
}

TEST_CASE("A reload that is refused leaves what operators changed", "[control_api]") {
  Pair pair;
  ordered(pair.balancer, "a/weight?value=3");
  write(pair.balancer, pair.with().set("proxy.retries", -1));
  CHECK(requestReload(pair.balancer).status == 422);
  CHECK(pair.balancer.backend("a")->getValue<int>("weight") == 3);
}

TEST_CASE("A backend that a reload removes and brings back is as configured", "[control_api]") {
  Pair pair;
  ordered(pair.balancer, "a/weight?value=3&for=1h");
  const auto lines = reload(pair.balancer, Config(pair.base).backend("b", pair.b.address()));
  CHECK_THAT(lines, Contains("backend a: weight 3 is over, the configuration has no such backend any more"));
  reload(pair.balancer, pair.with());
  CHECK(pair.balancer.backend("a")->getValue<int>("weight") == 1);
}

TEST_CASE("What would last is told and nothing is written", "[control_api]") {
  Pair pair;
  const auto file = (pair.balancer.folder().path() / "lemonade.toml").string();
  const auto persist = ordered(pair.balancer, "a/weight?value=3&persist=true")->getObject("persist");
  CHECK(persist->getValue<std::string>("line") == "weight = 3");
  CHECK_THAT(persist->getValue<std::string>("place"), Contains("backend a, " + file + ":"));
  CHECK_FALSE(ordered(pair.balancer, "a/enable")->has("persist"));
  CHECK_THAT(requestReload(pair.balancer).body, Contains("nothing changed"));
}

TEST_CASE("Orders that nobody can carry out say what is wrong and change nothing", "[control_api]") {
  Pair pair;
  const auto refused = [&](const std::string& path) {
    const auto answer = httpGet(pair.balancer.adminAddress(), "/api/v1/pools/" + path, "POST");
    return std::to_string(answer.status) + " " + answer.body;
  };
  CHECK_THAT(refused("defalt/backends/a/drain"), Contains("404") && Contains("did you mean default?"));
  CHECK_THAT(refused("default/backends/c/drain"), Contains("404") && Contains("in pool"));
  CHECK_THAT(refused("default/backends/a/weight?value=65536"), Contains("400") && Contains("from 0 to 65535"));
  CHECK_THAT(refused("default/backends/a/weight?value=%00%ff"), Contains("400"));
  CHECK_THAT(refused("default/backends/a/weight?" + std::string(2'000, '&')), Contains("400"));
  CHECK_THAT(refused("default/backends/%ff%00/drain"), Contains("404"));
  CHECK_THAT(refused("default/backends/a/drain?for=1000000h"), Contains("400") && Contains("from 10ms to 720h"));
  CHECK(pair.balancer.admin("/api/v1/pools/default/backends/a/drain").status == 405);
  CHECK(overridesOf(pair.balancer, "a")->size() == 0);
  CHECK(countOf(pair.balancer, "override_set") == 0);
  CHECK(ordered(pair.balancer, pair.a.address() + "/drain")->getValue<std::string>("id") == "a");
}

TEST_CASE("Every change of a backend is a line with what and who", "[control_api]") {
  Pair pair;
  ordered(pair.balancer, "a/weight?value=3");
  const auto line = pair.balancer.process().waitForLog("a backend is overridden");
  CHECK_THAT(line, Contains("backend=a") && Contains("weight 3") && Contains("by=127.0.0.1:") &&
                       Contains("until the next reload of the file"));
  ordered(pair.balancer, "a/enable");
  CHECK_THAT(pair.balancer.process().waitForLog("what was overridden of a backend is taken back"),
             Contains("backend=a") && Contains("by=127.0.0.1:"));
}

TEST_CASE("What operators changed travels with an upgrade", "[control_api][upgrade]") {
  Server a(named("a")), b(named("b"));
  Balancer balancer(supervised().backend("a", a.address()).backend("b", b.address()), kSupervised);
  ordered(balancer, "a/drain");
  ordered(balancer, "b/weight?value=5&for=1h");
  const auto until = overridesOf(balancer, "b")->getObject(0)->getValue<std::string>("until");
  upgrade(balancer);
  CHECK(stateOf(balancer, "a") == "draining");
  CHECK(balancer.ask() == "b");
  CHECK(overridesOf(balancer, "a")->getObject(0)->getValue<std::string>("until") == "reload");
  CHECK(overridesOf(balancer, "b")->getObject(0)->getValue<std::string>("until") == until);
  CHECK(balancer.backend("b")->getValue<int>("weight") == 5);
  ordered(balancer, "a/enable");
  CHECK(stateOf(balancer, "a") == "up");
}

}  // namespace lemonade::test
