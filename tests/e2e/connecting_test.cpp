// SPDX-License-Identifier: MIT
//
// Behaviour "Connecting": what a client sees when backends refuse, hang or answer late, and what the balancer makes of
// clients that leave.
#include "support/balancer.h"
#include "support/facts.h"
#include "support/server.h"

#include <catch2/catch.hpp>

namespace lemonade::test {
namespace {

double connectFailures(Balancer& balancer, const std::string& id) {
  return balancer.metric("lemonade_backend_connect_failures_total", {"backend=\"" + id + "\""});
}

/// A balancer whose one backend accepts when told. Its only check is over, which would take the client's place there.
struct Late {
  Late() {
    REQUIRE(eventually([&] { return balancer.metric("lemonade_health_checks_total") == 1; }));
  }

  BlackHole backend;
  Balancer balancer{Config()
                        .set("runtime.workers", 1)
                        .set("proxy.connect_timeout", "20s")
                        .set("health.timeout", "50ms")
                        .set("health.interval", "1h")
                        .backend("late", backend.address())};
};

}  // namespace

TEST_CASE("The connect timeout bounds only connecting and an idle client lives on", "[connecting]") {
  Server server(echo());
  Balancer balancer(Config().set("proxy.connect_timeout", "200ms").backend("a", server.address()));
  Socket client = balancer.connect();
  client.send("before");
  REQUIRE(client.receive(6) == "before");
  CHECK(client.staysOpen(800ms));
  client.send("after");
  CHECK(client.receive(5) == "after");
}

TEST_CASE("A backend that does not answer the connect is given up after the connect timeout", "[connecting][relayed]") {
  BlackHole hole;
  Balancer balancer(
      Config().set("proxy.retries", 0).set("proxy.connect_timeout", "300ms").backend("hole", hole.address()));
  const Stopwatch watch;
  Socket client = balancer.connect();
  CHECK(client.next(10s) != End::kOpen);
  CHECK(watch.elapsed() >= 290ms);
  CHECK(watch.elapsed() < 3s * timeFactor());
  CHECK(balancer.metric("lemonade_backend_connect_failures_total", {"reason=\"timeout\""}) == 1);
  CHECK(field(sessionLine(balancer), "reason") == "connect-failed");
}

TEST_CASE("After a connect timeout another backend answers the same client", "[connecting]") {
  BlackHole hole;
  Server good(named("good"));
  Balancer balancer(Config()
                        .set("proxy.connect_timeout", "200ms")
                        .set("strategy.algorithm", "com.example.first")
                        .backend("hole", hole.address())
                        .backend("good", good.address()));
  CHECK(balancer.ask() == "good");
  CHECK(connectFailures(balancer, "hole") == 1);
}

TEST_CASE("After a refused connect another backend answers the same client", "[connecting]") {
  RefusingPort dead;
  Server good(named("good"));
  Balancer balancer(Config()
                        .set("strategy.algorithm", "com.example.first")
                        .set("health.fall", 1000)
                        .backend("dead", dead.address())
                        .backend("good", good.address()));
  for (int i = 0; i < 3; ++i) CHECK(balancer.ask() == "good");
  CHECK(connectFailures(balancer, "dead") == 3);
  CHECK(balancer.metric("lemonade_proxy_retries_total") == 3);
  CHECK(field(sessionLine(balancer), "attempts") == "2");
}

TEST_CASE("Each backend is tried once where the retries suffice for all", "[connecting][relayed]") {
  RefusingPort one, two, three;
  Balancer balancer(Config()
                        .set("proxy.retries", 2)
                        .set("health.fall", 1000)
                        .backend("one", one.address())
                        .backend("two", two.address())
                        .backend("three", three.address()));
  CHECK(balancer.connect().next() != End::kOpen);
  CHECK(connectFailures(balancer, "one") == 1);
  CHECK(connectFailures(balancer, "two") == 1);
  CHECK(connectFailures(balancer, "three") == 1);
  CHECK(field(sessionLine(balancer), "attempts") == "3");
}

TEST_CASE("With retries at zero a refused connect closes the client", "[connecting]") {
  RefusingPort dead;
  Server good(named("good"));
  Balancer balancer(Config()
                        .set("proxy.retries", 0)
                        .set("strategy.algorithm", "com.example.first")
                        .set("health.fall", 1000)
                        .backend("dead", dead.address())
                        .backend("good", good.address()));
  CHECK(balancer.ask().empty());
  CHECK(connectFailures(balancer, "dead") == 1);
  CHECK(field(sessionLine(balancer), "reason") == "connect-failed");
}

TEST_CASE("No more backends are tried than retries allow", "[connecting]") {
  RefusingPort one, two;
  Server good(named("good"));
  Balancer balancer(Config()
                        .set("proxy.retries", 1)
                        .set("strategy.algorithm", "com.example.first")
                        .set("health.fall", 1000)
                        .backend("one", one.address())
                        .backend("two", two.address())
                        .backend("good", good.address()));
  CHECK(balancer.ask().empty());
  CHECK(field(sessionLine(balancer), "attempts") == "2");
}

TEST_CASE("When all backends refuse the client is closed promptly and the listener stays up", "[connecting][relayed]") {
  RefusingPort one, two;
  Balancer balancer(Config()
                        .set("proxy.retries", 1)
                        .set("ejection.enabled", false)
                        .set("health.fall", 1000)
                        .backend("one", one.address())
                        .backend("two", two.address()));
  for (int i = 0; i < 5; ++i) {
    const Stopwatch watch;
    CHECK(balancer.connect().next() != End::kOpen);
    CHECK(watch.elapsed() < 1s * timeFactor());
  }
  CHECK(balancer.admin("/healthz").status == 200);
}

TEST_CASE("Without any eligible backend the client is closed promptly and probes of the port succeed",
          "[connecting][relayed]") {
  RefusingPort dead;
  Balancer balancer(Config().realChecks().backend("dead", dead.address()));
  REQUIRE(eventually([&] { return balancer.admin("/readyz").status == 503; }));
  for (int i = 0; i < 5; ++i) {
    const Stopwatch watch;
    Socket client;
    REQUIRE_NOTHROW(client = balancer.connect());
    CHECK(client.next() != End::kOpen);
    CHECK(watch.elapsed() < 1s * timeFactor());
  }
  CHECK(field(sessionLine(balancer), "reason") == "no-backend");
}

TEST_CASE("Clients that connect and leave say nothing about a backend", "[connecting]") {
  Server server(named("a"));
  Balancer balancer(Config().set("health.fall", 1).backend("a", server.address()));
  for (int i = 0; i < 20; ++i) balancer.connect().close();
  for (int i = 0; i < 20; ++i) balancer.connect().reset();
  CHECK(eventually([&] { return balancer.active("a") == 0; }));
  CHECK(connectFailures(balancer, "a") == 0);
  CHECK(balancer.metric("lemonade_backend_resets_total") == 0);
  CHECK(stateOf(balancer, "a") == "up");
  CHECK(balancer.ask() == "a");
}

TEST_CASE("A client that resets before the backend answered releases its pick at once", "[connecting][relayed]") {
  BlackHole hole;
  Balancer balancer(Config().set("proxy.connect_timeout", "60s").backend("hole", hole.address()));
  Socket client = balancer.connect();
  REQUIRE(eventually([&] { return balancer.active("hole") == 1; }));
  client.reset();
  CHECK(eventually([&] { return balancer.active("hole") == 0; }));
  CHECK(field(sessionLine(balancer), "reason") == "abandoned");
  CHECK(connectFailures(balancer, "hole") == 0);
}

TEST_CASE("A client that closes before the backend answered releases its pick", "[connecting][relayed]") {
  BlackHole hole;
  Balancer balancer(
      Config().set("proxy.retries", 0).set("proxy.connect_timeout", "1s").backend("hole", hole.address()));
  Socket client = balancer.connect();
  REQUIRE(eventually([&] { return balancer.active("hole") == 1; }));
  client.close();
  CHECK(eventually([&] { return balancer.active("hole") == 0; }));
}

TEST_CASE("A client that asks and half-closes before the backend is connected gets its answer",
          "[connecting][relayed]") {
  Late late;
  Socket client = late.balancer.connect();
  client.send("question");
  client.finishSending();
  REQUIRE(eventually([&] { return late.balancer.active("late") == 1; }));
  Socket backend = late.backend.open();
  CHECK(backend.receiveAll(5s) == "question");  // and not only when the connect timeout wakes the worker
  backend.send("answer");
  backend.close();
  CHECK(client.receiveAll(5s) == "answer");
}

TEST_CASE("All that a client sends before its backend is connected arrives as soon as it is", "[connecting][relayed]") {
  Late late;
  Socket client = late.balancer.connect();
  // Each comes by itself, into a buffer of its own, as the head and the body of a request do.
  client.send("head ");
  REQUIRE(eventually([&] { return late.balancer.active("late") == 1; }));
  client.send("body ");
  REQUIRE(client.staysOpen(50ms));
  client.send("more");
  REQUIRE(client.staysOpen(50ms));
  Socket backend = late.backend.open();
  CHECK(backend.receive(14, 5s) == "head body more");
}

}  // namespace lemonade::test
