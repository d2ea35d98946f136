// SPDX-License-Identifier: MIT
//
// Reloads that add, change and remove pools and listeners.
#include "e2e/changing_pools.h"

#include <atomic>
#include <catch2/catch.hpp>

namespace lemonade::test {
namespace {

/// A pool of one backend with a listener.
std::string table(const std::string& name, const std::string& pool) {
  return "[[listeners]]\nname = \"" + name + "\"\naddress = \"127.0.0.1:0\"\npool = \"" + pool + "\"\n";
}

std::string pool(const std::string& name, const Server& server) {
  return "[pools." + name + "]\n[[pools." + name + ".backends]]\nid = \"one\"\naddress = \"" + server.address() +
         "\"\n";
}

HttpAnswer reloadText(Balancer& balancer, const std::string& text) {
  balancer.folder().write("lemonade.toml", text);
  return requestReload(balancer);
}

}  // namespace

TEST_CASE("Reloads that add and remove pools and listeners fail no request, and nothing grows", "[pools][reload]") {
  changePools(20);
}

TEST_CASE("A listener leads to another pool after a reload, and its sessions stay where they are", "[pools][reload]") {
  Server blue(http("b")), green(http("g"));
  const std::string base = unwatched().backend("a", blue.address()).text();
  Balancer balancer(unwatched().backend("a", blue.address()));
  REQUIRE(reloadText(balancer, base + pool("blue", blue) + pool("green", green) + table("web", "blue")).status == 200);
  const auto listeners = [&] { return balancer.status()->getArray("listeners"); };
  REQUIRE(listeners()->size() == 2);
  const auto web = listeners()->getObject(1)->getArray("addresses")->getElement<std::string>(0);
  Socket live = Socket::connect(web);
  CHECK(request(live) == 'b');
  REQUIRE(reloadText(balancer, base + pool("blue", blue) + pool("green", green) + table("web", "green")).status == 200);
  CHECK(listeners()->getObject(1)->getValue<std::string>("pool") == "green");
  Socket fresh = Socket::connect(web);
  CHECK(request(fresh) == 'g');
  CHECK(request(live) == 'b');
}

TEST_CASE("Clients of a pool that a reload brings or fills anew wait for its first checks where these decide",
          "[pools][reload]") {
  Server early(named("early"));
  std::atomic<bool> well{false};
  Server late([&](Socket& client) {
    well.wait(false);
    client.send("late\n");
    (void)client.receiveLine();
  });
  const bool another_pool = GENERATE(true, false);
  const std::string script = "'expect \"late\"'";
  const auto brings = [&] {
    return unwatched().set("proxy.pool", "late").backend("early", early.address()).text() +
           "[pools.late]\nbackends = \"" + late.address() +
           "\"\n[pools.late.health]\nchecker = \"send_expect\"\ninitial = \"check\"\n" +
           "timeout = \"10s\"\noptions = { script = " + script + " }\n";
  };
  const auto fills = [&] {
    return unwatched()
        .set("health.checker", "send_expect")
        .set("health.initial", "check")
        .set("health.timeout", "10s")
        .raw("health.options.script", script)
        .backend("late", late.address())
        .text();
  };
  Balancer balancer(unwatched().backend("early", early.address()));
  CHECK(balancer.ask() == "early");
  REQUIRE(reloadText(balancer, another_pool ? brings() : fills()).status == 200);
  Socket client = balancer.connect();
  const std::string pool = another_pool ? "pool=\"late\"" : "pool=\"default\"";
  REQUIRE(eventually([&] { return balancer.metric("lemonade_proxy_queued_sessions", {pool}) == 1; }));
  well = true;
  well.notify_all();
  CHECK(client.receiveLine() == "late");
  CHECK(balancer.metric("lemonade_proxy_unserved_total") == 0);
}

TEST_CASE("A pool that a reload removes drains its sessions and is gone", "[pools][reload]") {
  Server a(http("a")), b(http("b"));
  const auto config = unwatched().set("runtime.drain_timeout_millis", 60'000).backend("a", a.address());
  Balancer balancer(config);
  REQUIRE(reloadText(balancer, config.text() + pool("web", b) + table("web", "web")).status == 200);
  const auto web =
      balancer.status()->getArray("listeners")->getObject(1)->getArray("addresses")->getElement<std::string>(0);
  Socket live = Socket::connect(web);
  CHECK(request(live) == 'b');
  REQUIRE(reloadText(balancer, config.text()).status == 200);
  CHECK(balancer.status()->getArray("pools")->size() == 1);
  CHECK(request(live) == 'b');
  CHECK(balancer.metric("lemonade_backend_active_sessions", {"pool=\"web\""}) == 1);
  live.close();
  CHECK(eventually([&] { return !contains(balancer.admin("/metrics").body, "pool=\"web\""); }, 10s));
}

TEST_CASE("A reload whose listener cannot be opened changes no pool", "[pools][reload]") {
  Server a(http("a")), b(http("b"));
  const auto config = unwatched().backend("a", a.address());
  Balancer balancer(config);
  const auto answer =
      reloadText(balancer, config.text() + pool("web", b) + "[[listeners]]\nname = \"web\"\naddress = \"" +
                               balancer.adminAddress() + "\"\npool = \"web\"\n");
  CHECK(answer.status == 422);
  CHECK(balancer.status()->getArray("pools")->size() == 1);
  Socket client = balancer.connect();
  CHECK(request(client) == 'a');
}

TEST_CASE("Readiness is that of any pool, of all, or of those named", "[pools]") {
  Server a(http("a"));
  const std::string down =
      "[pools.down]\n[[pools.down.backends]]\nid = \"one\"\naddress = \"127.0.0.1:1\"\n"
      "enabled = false\n" +
      table("down", "down");
  const auto config = [&](const std::string& ready) {
    return unwatched().backend("a", a.address()).raw("admin.ready", ready).text() + down;
  };
  Balancer balancer(unwatched().backend("a", a.address()));
  const auto answer = [&](const std::string& ready) {
    const auto reloaded = reloadText(balancer, config(ready));
    INFO(reloaded.body);
    REQUIRE(reloaded.status == 200);
    return balancer.admin("/readyz");
  };
  CHECK(answer("\"any\"").status == 200);
  CHECK(contains(answer("\"any\"").body, "no backend is eligible in pool down"));
  CHECK(answer("\"all\"").status == 503);
  CHECK(answer("[\"default\"]").status == 200);
  CHECK(answer("[\"default\", \"down\"]").status == 503);
}

}  // namespace lemonade::test
