// SPDX-License-Identifier: MIT
//
// Behaviour "Health": rise and fall, what is logged, and what a check costs the backend.
#include "support/balancer.h"
#include "support/facts.h"
#include "support/server.h"

#include <signal.h>

#include <atomic>
#include <catch2/catch.hpp>

#include <atomic>

namespace lemonade::test {
namespace {}  // namespace

TEST_CASE("A first check that fails takes a backend down with its reason", "[health]") {
  RefusingPort dead;
  Server good(named("good"));
  Balancer balancer(
      Config().realChecks().set("health.fall", 3).backend("dead", dead.address()).backend("good", good.address()));
  const auto line = balancer.process().waitForLog("health: backend is down");
  CHECK(line.find("WARN") != std::string::npos);
  CHECK(field(line, "backend") == "dead");
  CHECK(field(line, "address") == dead.address());
  CHECK(field(line, "reason").find("refused") != std::string::npos);
  CHECK(eventually([&] { return stateOf(balancer, "dead") == "down"; }));
  CHECK(balancer.backend("dead")->getValue<std::string>("reason").find("refused") != std::string::npos);
  CHECK(stateOf(balancer, "good") == "up");
}

TEST_CASE("A backend that is degraded is said to be so once and shown until it is over, and has clients throughout",
          "[health]") {
  std::atomic<bool> weary{false};
  Server server([&](Socket& client) {
    client.send(weary ? "weary\n" : "well\n");
    (void)client.receiveAll();
  });
  Balancer balancer(Config()
                        .set("health.checker", "com.example.weary")
                        .set("health.interval", "50ms")
                        .backend("a", server.address()));
  const auto degraded = [&] { return balancer.metric("lemonade_backend_degraded", {"backend=\"a\""}); };
  CHECK(degraded() == 0);
  weary = true;
  const auto line = balancer.process().waitForLog("health: backend is degraded");
  CHECK(line.find("WARN") != std::string::npos);
  CHECK(field(line, "backend") == "a");
  CHECK(field(line, "reason") == "half of its disks are gone");
  CHECK(degraded() == 1);
  CHECK(balancer.metric("lemonade_backend_up", {"backend=\"a\""}) == 1);
  CHECK(balancer.ask() == "weary");
  const unsigned settled = server.accepted();
  REQUIRE(eventually([&] { return server.accepted() >= settled + 4; }));
  CHECK(balancer.process().countLog("health: backend is degraded:", 1) == 1);
  weary = false;
  CHECK(field(balancer.process().waitForLog("health: backend is degraded no more"), "backend") == "a");
  CHECK(degraded() == 0);
}

TEST_CASE("A backend goes down after fall failures and up after rise passes and each is logged once", "[health]") {
  Server server(named("a"));
  Balancer balancer(Config()
                        .realChecks()
                        .set("health.interval", "60ms")
                        .set("health.fall", 3)
                        .set("health.rise", 2)
                        .backend("a", server.address()),
                    {{"LEMONADE_LOG", "info,health=debug"}});
  REQUIRE(eventually([&] { return server.accepted() >= 2; }));
  server.stop();
  waitForState(balancer, "a", "down");
  const unsigned before = server.accepted();
  server.restart();
  waitForState(balancer, "a", "up");
  // The server may come to count a check after the balancer has had its answer from the kernel.
  CHECK(eventually([&] { return server.accepted() - before >= 2; }));
  // Several more checks change nothing and say nothing.
  const unsigned settled = server.accepted();
  REQUIRE(eventually([&] { return server.accepted() >= settled + 5; }));
  CHECK(balancer.process().countLog("health: backend is down", 1) == 1);
  CHECK(balancer.process().countLog("health: backend is up", 1) == 1);
  CHECK(balancer.process().waitForLog("health: backend is up").find("INFO") != std::string::npos);
  CHECK(balancer.ask() == "a");
}

TEST_CASE("A check that nobody answers fails after the health timeout", "[health]") {
  BlackHole hole;
  Balancer balancer(Config().realChecks().set("health.timeout", "200ms").backend("hole", hole.address()));
  waitForState(balancer, "hole", "down", 5s);
  CHECK(reasonOf(balancer, "hole").find("timed out") != std::string::npos);
}

TEST_CASE("The health interval decides how often a backend is checked", "[health]") {
  Server often(named("often"));
  Balancer quick(Config().realChecks().set("health.interval", "50ms").backend("a", often.address()));
  REQUIRE(eventually([&] { return often.accepted() >= 1; }));
  const unsigned first = often.accepted();
  CHECK(eventually([&] { return often.accepted() >= first + 10; }, 3s));

  Server seldom(named("seldom"));
  Balancer slow(Config().realChecks().set("health.interval", "1h").backend("a", seldom.address()));
  REQUIRE(eventually([&] { return seldom.accepted() >= 1; }));
  CHECK_FALSE(eventually([&] { return seldom.accepted() > 1; }, 500ms));
}

TEST_CASE("The down interval holds while a backend is down and a reload changes it", "[health]") {
  RefusingPort dead;
  Server good(named("good"));
  const auto config = [&] {
    return Config()
        .realChecks()
        .set("health.interval", "1h")
        .backend("dead", dead.address())
        .backend("good", good.address());
  };
  Balancer balancer(config().set("health.down_interval", "20ms"));
  const auto failures = [&] { return balancer.metric("lemonade_health_check_failures_total"); };
  CHECK(eventually([&] { return failures() >= 10; }));
  CHECK(good.accepted() <= 1);

  balancer.folder().write("lemonade.toml", config().text());
  balancer.process().signal(SIGHUP);
  waitForReloads(balancer, 1);
  const auto before = failures();
  CHECK_FALSE(eventually([&] { return failures() > before + 1; }, 200ms));
}

TEST_CASE("A disabled backend is checked and shown and gets no connection", "[health]") {
  Server off(named("off")), on(named("on"));
  Balancer balancer(Config().realChecks().backend("off", off.address(), "enabled = false").backend("on", on.address()));
  for (int i = 0; i < 6; ++i) CHECK(balancer.ask() == "on");
  CHECK(stateOf(balancer, "off") == "disabled");
  CHECK(balancer.metric("lemonade_backend_enabled", {"backend=\"off\""}) == 0);
}

TEST_CASE("Readiness follows the backends", "[health]") {
  Server server(named("a"));
  Balancer balancer(Config().realChecks().backend("a", server.address()));
  CHECK(balancer.admin("/readyz").status == 200);
  REQUIRE(eventually([&] { return server.accepted() >= 1; }));
  server.stop();
  CHECK(eventually([&] { return balancer.admin("/readyz").status == 503; }));
  CHECK(balancer.admin("/healthz").status == 200);
  server.restart();
  CHECK(eventually([&] { return balancer.admin("/readyz").status == 200; }));
}

TEST_CASE("The log says when no backend is left and when one is back", "[health]") {
  Server a(named("a")), b(named("b"));
  Balancer balancer(Config().realChecks().backend("a", a.address()).backend("b", b.address()));
  REQUIRE(eventually([&] { return balancer.admin("/readyz").status == 200; }));
  a.stop();
  REQUIRE(eventually([&] { return balancer.backend("a")->getValue<std::string>("state") == "down"; }));
  CHECK(balancer.process().countLog("no backend is left") == 0);
  b.stop();
  balancer.process().waitForLog("no backend is left");
  a.restart();
  const auto line = balancer.process().waitForLog("a backend is back");
  CHECK(field(line, "after").back() == 's');
  CHECK(balancer.process().countLog("no backend is left", 1) == 1);
}

TEST_CASE("Nothing is checked where the checker is none and everything says so", "[health]") {
  Server server(named("a"));
  RefusingPort dead;
  auto config = [&] {
    return Config()
        .set("health.checker", "none")
        .set("runtime.config_watch_interval_millis", 20)
        .set("ejection.base_time", "200ms")
        .backend("a", server.address())
        .backend("dead", dead.address());
  };
  Balancer balancer(config());
  CHECK(stateOf(balancer, "a") == "up");
  CHECK(balancer.backend("a")->getValue<std::string>("reason") == "not checked");
  CHECK(balancer.metric("lemonade_health_checks_enabled") == 0);
  for (int i = 0; i < 20; ++i) CHECK(balancer.ask() == "a");
  // What its connects say still counts, and ends by time.
  REQUIRE(eventually([&] { return ejections(balancer) >= 1; }));
  waitForState(balancer, "dead", "up");
  CHECK(server.accepted() == 20);
  const auto plugins = balancer.status()->getArray("plugins");
  bool said = false;
  for (std::size_t i = 0; i < plugins->size(); ++i)
    said = said || (plugins->getObject(i)->getValue<std::string>("kind") == "health_checker" &&
                    plugins->getObject(i)->getValue<std::string>("id") == "none");
  CHECK(said);

  // Back and forth.
  balancer.folder().write("lemonade.toml", config().set("health.checker", "tcp").set("health.interval", "50ms").text());
  waitForState(balancer, "dead", "down");
  CHECK(balancer.metric("lemonade_health_checks_enabled") == 1);
  balancer.folder().write("lemonade.toml", config().text());
  waitForState(balancer, "dead", "up");
}

TEST_CASE("A backend that a reload adds gets clients after its first good check where that is asked for", "[health]") {
  Server old(named("old"));
  // Knocks are answered, clients are turned away, until it is well.
  std::atomic<bool> well{false};
  Server young([&](Socket& client) {
    client.send(well ? "well\n" : "ill\n");
    (void)client.receiveLine();
  });
  const auto config = [&] {
    return Config()
        .realChecks()
        .set("runtime.config_watch_interval_millis", 20)
        .set("health.checker", "send_expect")
        .raw("health.options.script", R"('expect "well" or "old"')")
        .set("health.initial", "check")
        .backend("old", old.address());
  };
  Balancer balancer(config());
  CHECK(balancer.ask() == "old");
  auto both = config();
  balancer.folder().write("lemonade.toml", both.backend("young", young.address()).text());
  waitForReloads(balancer, 1);
  for (int i = 0; i < 40; ++i) CHECK(balancer.ask() == "old");
  well = true;
  CHECK(eventually([&] { return balancer.ask() == "well"; }));
}

TEST_CASE("A start that waits for first checks turns no client away", "[health]") {
  Server good(named("good"));
  BlackHole hole;
  RefusingPort dead;
  Balancer balancer(Config()
                        .realChecks()
                        .set("health.initial", "check")
                        .set("health.timeout", "500ms")
                        .set("proxy.retries", 0)
                        .backend("dead", dead.address())
                        .backend("hole", hole.address())
                        .backend("good", good.address()));
  for (int i = 0; i < 12; ++i) CHECK(balancer.ask() == "good");
  CHECK(balancer.metric("lemonade_proxy_unserved_total") == 0);
  CHECK(stateOf(balancer, "dead") == "down");
}

TEST_CASE("A backend that begins down takes as many good checks as any that is down", "[health]") {
  Server server(named("a"));
  Balancer balancer(Config()
                        .realChecks()
                        .set("health.initial", "down")
                        .set("health.interval", "100ms")
                        .set("health.rise", 3)
                        .backend("a", server.address()));
  waitForState(balancer, "a", "up");
  CHECK(eventually([&] { return server.accepted() >= 3; }));
  // The status may be a moment ahead of the workers.
  CHECK(eventually([&] { return balancer.ask() == "a"; }));
}

TEST_CASE("A checker that throws takes no backend down nor up and is named in the log", "[health]") {
  Server server(named("a"));
  RefusingPort dead;
  const auto config = [&] {
    return Config()
        .realChecks()
        .set("runtime.config_watch_interval_millis", 20)
        .set("health.interval", "30ms")
        .backend("a", server.address())
        .backend("dead", dead.address());
  };
  Balancer balancer(config());
  waitForState(balancer, "dead", "down");
  balancer.folder().write("lemonade.toml", config().set("health.checker", "com.example.clumsy").text());
  const auto line = balancer.process().waitForLog("health: the health checker failed");
  CHECK(line.find("ERROR") != std::string::npos);
  CHECK(field(line, "checker") == "com.example.clumsy");
  CHECK(eventually([&] { return balancer.metric("lemonade_health_checker_errors_total") >= 10; }));
  CHECK(stateOf(balancer, "a") == "up");
  CHECK(stateOf(balancer, "dead") == "down");
  CHECK(balancer.ask() == "a");
  CHECK(balancer.process().countLog("health: the health checker failed", 1) == 1);
}

}  // namespace lemonade::test
