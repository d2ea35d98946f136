// SPDX-License-Identifier: MIT
//
// A second strategy that is asked beside the one that decides: operators see what it would have done, clients see
// nothing of it, whatever it does.
#include "e2e/reloading.h"
#include "e2e/restless.h"
#include "support/balancer.h"
#include "support/facts.h"
#include "support/server.h"

#include <Poco/JSON/Array.h>
#include <Poco/JSON/Parser.h>

#include <catch2/catch.hpp>

#include <filesystem>
#include <string>

namespace lemonade::test {
namespace {

using Poco::JSON::Object;

constexpr const char* kTrap = "127.0.0.99:0";

Object::Ptr parsed(const std::string& text) { return Poco::JSON::Parser().parse(text).extract<Object::Ptr>(); }

/// The only comparison there is.
Object::Ptr shadowOf(Balancer& balancer, const std::string& query = "") {
  const auto shadows = parsed(balancer.admin("/api/v1/shadows" + query).body)->getArray("shadows");
  REQUIRE(shadows->size() == 1);
  return shadows->getObject(0);
}

char requestFrom(Balancer& balancer, const std::string& source = "127.0.0.1:0") {
  Socket client = Socket::connect(balancer.address(), source);
  return request(client);
}

/// Round robin of two with least_connections as its shadow, which has b by its weight wherever b is hardly in use.
struct Shadowed {
  Shadowed() : balancer(config()) {}

  Config config() const {
    return unwatched()
        .set("strategy.algorithm", "round_robin")
        .set("shadow.algorithm", "least_connections")
        .set("runtime.workers", 1)
        .backend("a", a.address())
        .backend("b", b.address(), "weight = 3");
  }

  Server a{http("a")}, b{http("b")};
  Balancer balancer;
};

}  // namespace

TEST_CASE_METHOD(Shadowed, "Operators see how often a shadow differs and where it would have sent what", "[shadow]") {
  std::string answers;
  for (int i = 0; i < 20; ++i) answers += requestFrom(balancer);
  CHECK(std::count(answers.begin(), answers.end(), 'a') == 10);  // it decides nothing
  const auto shadow = shadowOf(balancer, "?pool=default");
  CHECK(shadow->getValue<std::string>("pool") == "default");
  CHECK(shadow->getObject("strategy")->getValue<std::string>("plugin") == "round_robin");
  CHECK(shadow->getObject("shadow")->getValue<std::string>("plugin") == "least_connections");
  CHECK(shadow->getValue<int>("picks") == 20);
  CHECK(shadow->getValue<int>("same") + shadow->getValue<int>("other") == 20);
  CHECK(shadow->getValue<int>("other") >= 9);
  const auto backends = shadow->getArray("backends");
  CHECK(backends->getObject(0)->getValue<int>("strategy_picks") == 10);
  CHECK(backends->getObject(1)->getValue<int>("shadow_picks") >= 19);
  CHECK(shadow->getObject("strategy")->getValue<int>("weighed_picks") == 20);
  CHECK(shadow->getObject("shadow")->getValue<double>("mean_ms") > 0);

  const auto summary = balancer.status()->getArray("pools")->getObject(0)->getObject("shadow");
  CHECK(summary->getValue<int>("picks") == 20);
  CHECK(balancer.metric("lemonade_shadow_picks_total", {"plugin=\"least_connections\""}) == 20);
  CHECK(balancer.metric("lemonade_shadow_backend_picks_total", {"by=\"shadow\""}) == 20);
  CHECK(balancer.metric("lemonade_shadow_weighed_picks_total", {"by=\"strategy\""}) == 20);
  CHECK(balancer.metric("lemonade_shadow_weighed_seconds_total", {"by=\"shadow\""}) > 0);

  const auto table = run(lemonade({"shadow", "default", "--admin", balancer.adminAddress()}));
  INFO(table.out << table.err);
  CHECK(table.code == 0);
  CHECK(contains(table.out, "least_connections"));
  CHECK(contains(table.out, "default/b"));
  CHECK(balancer.admin("/api/v1/shadows?pool=defualt").status == 404);
  CHECK(balancer.admin("/api/v1/shadows?pol=x").status == 400);
}

TEST_CASE_METHOD(Shadowed, "A shadow comes, changes and goes with reloads", "[shadow]") {
  (void)requestFrom(balancer);
  auto other = config();
  CHECK(contains(reload(balancer, other.set("shadow.algorithm", "random_two")),
                 "shadow least_connections -> random_two"));
  CHECK(shadowOf(balancer)->getValue<int>("picks") == 0);  // compared anew
  (void)requestFrom(balancer);
  CHECK(shadowOf(balancer)->getValue<int>("picks") == 1);
  CHECK(reload(balancer, other.set("proxy.retries", 3)) != "");
  CHECK(shadowOf(balancer)->getValue<int>("picks") == 1);  // what stays goes on
  CHECK(contains(reload(balancer, other.raw("shadow.options", "{choices = 3}")), "shadow random_two: options changed"));
  CHECK(contains(reload(balancer, other.unset("shadow.options").set("shadow.algorithm", "none")),
                 "shadow random_two -> none"));
  CHECK(parsed(balancer.admin("/api/v1/shadows").body)->getArray("shadows")->size() == 0);
  CHECK(balancer.status()->getArray("pools")->getObject(0)->isNull("shadow"));
  const auto none = run(lemonade({"shadow", "default", "--admin", balancer.adminAddress()}));
  CHECK(none.code == 1);
  CHECK(contains(none.err, "has no shadow"));
  (void)requestFrom(balancer);
}

TEST_CASE_METHOD(Shadowed, "A shadow that cannot be had is an error of the configuration", "[shadow]") {
  auto wrong = config();
  write(balancer, wrong.set("shadow.algorithm", "least_conections"));
  auto answer = requestReload(balancer);
  CHECK(answer.status == 422);
  CHECK(contains(answer.body, "there is no plugin \"least_conections\""));
  write(balancer, wrong.set("shadow.algorithm", "random_two").raw("shadow.options", "{choices = 99}"));
  answer = requestReload(balancer);
  CHECK(answer.status == 422);
  CHECK(contains(answer.body, "choices must be from 2 to 10"));
  CHECK(shadowOf(balancer)->getObject("shadow")->getValue<std::string>("plugin") == "least_connections");
}

TEST_CASE("What a shadow does costs no client anything, nor a pool that runs the same file", "[shadow][containment]") {
  const std::string deed = GENERATE("pick:segv", "pick:spin", "pick:exit", "event:segv");
  CAPTURE(deed);
  const TemporaryFolder folder;
  std::filesystem::copy_file(LEMONADE_BAD_PLUGINS "/turncoat_1.so", folder.path() / "turncoat.so");
  Server a(http("a")), b(http("b"));
  const auto config =
      unwatched()
          .raw("plugins.directories", "[\"" + folder.path().string() + "\", \"" + testPluginFolder() + "\"]")
          .set("plugins.hang_limit", "400ms")
          .set("strategy.algorithm", "round_robin")
          .set("shadow.algorithm", "com.example.turncoat")
          .backend("a", a.address())
          .listener("other", "other")
          .toml(
              "[pools.other]\nstrategy = \"com.example.turncoat\"\nshadow = \"none\"\n"
              "[[pools.other.backends]]\nid = \"b\"\naddress = \"" +
              b.address() + "\"\n");
  Balancer balancer(config, {{"LEMONADE_TURNCOAT", deed}});
  CHECK(requestFrom(balancer) == 'a');
  CHECK(shadowOf(balancer)->getValue<int>("picks") == 1);
  CHECK(requestFrom(balancer, kTrap) == 'a');
  const auto line = balancer.process().waitForLog("a pool goes on without its shadow");
  CHECK(field(line, "plugin") == "com.example.turncoat");
  for (int i = 0; i < 10; ++i) CHECK(requestFrom(balancer, i % 2 == 0 ? kTrap : "127.0.0.1:0") == 'a');
  CHECK(strategy(balancer)->getValue<std::string>("id") == "round_robin");
  CHECK(balancer.metric("lemonade_proxy_invalid_picks_total") == 0);
  CHECK(balancer.status()->getArray("pools")->getObject(0)->isNull("shadow"));
  // The pool that has the same file decide goes on with it.
  CHECK(balancer.status()->getArray("pools")->getObject(1)->getValue<std::string>("strategy") ==
        "com.example.turncoat");
  Socket to_other = balancer.connect(1);
  CHECK(request(to_other) == 'b');
  CHECK(balancer.admin("/readyz").body == "ready\n");
  const auto quarantined = balancer.status()->getArray("quarantined");
  REQUIRE(quarantined->size() == 1);
  CHECK(quarantined->getObject(0)->getValue<std::string>("plugin") == "com.example.turncoat");

  // A reload does without it and applies what else there is; a release has it back.
  auto changed = Config(config);
  const auto lines = reload(balancer, changed.set("proxy.retries", 3));
  CHECK(contains(lines, "proxy.retries 2 -> 3"));
  balancer.process().waitForLog("the pool has no shadow: plugin com.example.turncoat");
  CHECK(balancer.status()->getArray("pools")->getObject(0)->isNull("shadow"));
  CHECK(httpGet(balancer.adminAddress(), "/api/v1/plugins/com.example.turncoat/release", "POST").status == 200);
  CHECK_FALSE(balancer.status()->getArray("pools")->getObject(0)->isNull("shadow"));
  CHECK(balancer.status()->getArray("quarantined")->size() == 0);
  CHECK(requestFrom(balancer) == 'a');
}

}  // namespace lemonade::test
