// SPDX-License-Identifier: MIT
//
// Why a backend was picked: an operator asks for some seconds, and sees the picks of that time with what they saw.
#include "e2e/reloading.h"
#include "e2e/restless.h"
#include "support/balancer.h"
#include "support/facts.h"
#include "support/server.h"

#include <Poco/JSON/Array.h>
#include <Poco/JSON/Parser.h>

#include <catch2/catch.hpp>

#include <string>
#include <thread>

namespace lemonade::test {
namespace {

using Poco::JSON::Object;

struct Explained {
  Explained() : balancer(config("least_connections")) {}

  Config config(const std::string& strategy) const {
    return unwatched()
        .set("strategy.algorithm", strategy)
        .backend("a", a.address())
        .backend("b", b.address(), "weight = 3");
  }
  Object::Ptr ask(const std::string& method = "GET", const std::string& query = "") {
    const auto answer = httpGet(balancer.adminAddress(), "/api/v1/pools/default/why" + query, method);
    INFO(answer.body);
    REQUIRE(answer.status == 200);
    return Poco::JSON::Parser().parse(answer.body).extract<Object::Ptr>();
  }

  Server a{http("a")}, b{http("b")};
  Balancer balancer;
};

}  // namespace

TEST_CASE_METHOD(Explained, "Picks are shown with what they saw and why while an operator looks", "[why]") {
  {
    Socket before = balancer.connect();
    CHECK_NOTHROW(request(before));
  }
  REQUIRE(eventually([&] { return balancer.metric("lemonade_proxy_sessions") == 0; }));
  CHECK(ask()->getArray("picks")->size() == 0);
  CHECK(ask("POST", "?for=60s")->getValue<bool>("recording"));
  Socket client = balancer.connect();
  const char served = request(client);
  const auto seen = ask();
  CHECK(seen->getValue<std::string>("strategy") == "least_connections");
  CHECK(seen->getValue<bool>("recording"));
  REQUIRE(seen->getArray("picks")->size() == 1);
  const auto pick = seen->getArray("picks")->getObject(0);
  CHECK(pick->getObject("backend")->getValue<std::string>("id") == std::string(1, served));
  CHECK(contains(pick->getValue<std::string>("reason"), "the fewest sessions by weight"));
  CHECK(contains(pick->getValue<std::string>("client"), "127.0.0.1:"));
  const auto backends = pick->getArray("backends");
  REQUIRE(backends->size() == 2);
  CHECK(backends->getObject(0)->getValue<bool>("picked"));
  CHECK(backends->getObject(0)->getValue<int>("active") == 0);
  CHECK(backends->getObject(1)->getValue<int>("active") == 0);

  // A look that begins forgets the one before, and ends.
  ask("POST", "?for=100ms");
  CHECK(eventually([&] { return !ask()->getValue<bool>("recording"); }));
  CHECK(ask()->getArray("picks")->size() == 0);
  Socket later = balancer.connect();
  CHECK_NOTHROW(request(later));
  CHECK(ask()->getArray("picks")->size() == 0);
}

TEST_CASE_METHOD(Explained, "The command looks, waits and shows", "[why][cli]") {
  Client load(balancer.address(), false);
  const auto shown =
      run(lemonade({"why", "default", "--for", "300ms", "--limit", "2", "--admin", balancer.adminAddress()}));
  load.stop();
  INFO(shown.out << shown.err);
  CHECK(shown.code == 0);
  CHECK(contains(shown.out, "the fewest sessions by weight"));
  CHECK(contains(shown.out, "ACTIVE"));
  CHECK(contains(shown.out, a.address()));
  const auto wrong = run(lemonade({"why", "defualt", "--admin", balancer.adminAddress()}));
  CHECK(wrong.code == 1);
  CHECK(contains(wrong.err, "there is no pool \"defualt\""));
}

TEST_CASE_METHOD(Explained, "What cannot be looked at so is refused with the mend", "[why]") {
  const auto post = [&](const std::string& path) { return httpGet(balancer.adminAddress(), path, "POST"); };
  CHECK(post("/api/v1/pools/other/why").status == 404);
  CHECK(post("/api/v1/pools/default/why?for=2m").status == 400);
  CHECK(contains(post("/api/v1/pools/default/why?for=2m").body, "100ms to 60s"));
  CHECK(post("/api/v1/pools/default/why?from=2s").status == 400);
  CHECK(balancer.admin("/api/v1/pools/default/whi").status == 404);
  CHECK(balancer.admin("/api/v1/pools/other/why").status == 404);
  CHECK(post("/api/v1/pools/default/backends/a/why").status == 404);  // of a backend there is none
}

TEST_CASE_METHOD(Explained, "Every shipped strategy has a reason", "[why]") {
  for (const std::string strategy : {"round_robin", "weighted_round_robin", "least_connections", "random_two",
                                     "fastest_response_time", "peak_ewma", "consistent_hash", "adaptive"}) {
    CAPTURE(strategy);
    (void)reload(balancer, config(strategy));
    ask("POST", "?for=60s");
    Socket client = balancer.connect();
    CHECK_NOTHROW(request(client));
    const auto picks = ask()->getArray("picks");
    REQUIRE(picks->size() == 1);
    CHECK(picks->getObject(0)->getValue<std::string>("reason") != "");
  }
}

}  // namespace lemonade::test
