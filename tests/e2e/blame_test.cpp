// SPDX-License-Identifier: MIT
//
// Who is blamed: what a client sends, or does not send, ejects no backend and makes no strategy shun one.
#include "support/balancer.h"
#include "support/facts.h"
#include "support/server.h"

#include <catch2/catch.hpp>
#include <list>

namespace lemonade::test {
namespace {

/// Answers each line; closes at once where one is garbage, as PostgreSQL does, and waits for the end of half a line.
Server::Handler picky() {
  return [](Socket& client) {
    for (std::string line; !(line = client.receiveLine()).empty() && line.find("garbage") == std::string::npos;)
      client.send("ok\n");
  };
}

/// What comes of a client that sends this line: its answer, or "" where it was closed or reset.
std::string ask(Balancer& balancer, const std::string& line, const std::string& from = "") try {
  Socket client = Socket::connect(balancer.address(), from);
  client.send(line + "\n");
  return client.receiveLine();
} catch (const ResetError&) {
  return "";
}

bool isUp(Balancer& balancer, const std::string& id) {
  return balancer.backend(id)->getValue<std::string>("state") == "up";
}

}  // namespace

TEST_CASE("Clients that send garbage eject nobody", "[ejection][blame]") {
  Server a(picky()), b(picky());
  const std::string algorithm = GENERATE("round_robin", "consistent_hash", "least_connections");
  CAPTURE(algorithm);
  Balancer balancer(Config()
                        .set("strategy.algorithm", algorithm)
                        .set("runtime.workers", 1)
                        .backend("a", a.address())
                        .backend("b", b.address()));
  // One alone.
  for (int i = 0; i < 60; ++i) CHECK(ask(balancer, "garbage").empty());
  // Beside others.
  for (int i = 0; i < 60; ++i) CHECK(ask(balancer, i % 8 == 0 ? "hello" : "garbage").empty() == (i % 8 != 0));
  // From many addresses.
  for (int i = 0; i < 60; ++i) CHECK(ask(balancer, "garbage", "127.0.0." + std::to_string(2 + i) + ":0").empty());
  // To one backend only, as far as round robin can be foreseen.
  for (int i = 0; i < 60; ++i) (void)ask(balancer, i % 2 == 0 ? "garbage" : "hello");
  CHECK(balancer.metric("lemonade_health_ejections_total") == 0);
  CHECK(isUp(balancer, "a"));
  CHECK(isUp(balancer, "b"));
  CHECK(ask(balancer, "hello") == "ok");
}

TEST_CASE("A client that resets before it is answered ejects nobody", "[ejection][blame]") {
  Server a(picky()), b(picky());
  Balancer balancer(Config().backend("a", a.address()).backend("b", b.address()));
  for (int i = 0; i < 40; ++i) {
    Socket client = balancer.connect();
    client.send("half");
    client.reset();
  }
  CHECK(ask(balancer, "hello") == "ok");
  CHECK(balancer.metric("lemonade_health_ejections_total") == 0);
}

TEST_CASE("Clients that upload slowly eject nobody and their time counts from the last byte", "[ejection][blame]") {
  Server a(picky()), b(picky());
  Balancer balancer(
      Config().set("ejection.unanswered_timeout", "100ms").backend("a", a.address()).backend("b", b.address()));
  for (int i = 0; i < 8; ++i) REQUIRE(ask(balancer, "hello") == "ok");
  std::list<Socket> clients;
  for (int i = 0; i < 8; ++i) clients.push_back(balancer.connect());
  for (int i = 0; i < 24; ++i) {
    for (auto& client : clients) client.send("x");
    std::this_thread::sleep_for(50ms);  // what a slow client does
    if (i % 4 == 3) CHECK(ask(balancer, "hello") == "ok");
  }
  for (auto& client : clients) client.send("\n");
  for (auto& client : clients) CHECK(client.receiveLine() == "ok");
  CHECK(balancer.metric("lemonade_health_ejections_total") == 0);
  clients.clear();
  // Not the 1.2 s that the upload took.
  for (const char* id : {"a", "b"})
    CHECK(balancer.backend(id)->getObject("exchange_ms")->getValue<double>("p99") < 1'000);
}

TEST_CASE("Clients that send half of a request and wait eject nobody", "[ejection][blame]") {
  Server a(picky()), b(picky());
  Balancer balancer(
      Config().set("ejection.unanswered_timeout", "50ms").backend("a", a.address()).backend("b", b.address()));
  for (int i = 0; i < 8; ++i) REQUIRE(ask(balancer, "hello") == "ok");
  std::list<Socket> clients;
  // While some are owed an answer for long, new ones come.
  for (int i = 0; i < 60; ++i) {
    clients.push_back(balancer.connect());
    clients.back().send("half");
    std::this_thread::sleep_for(25ms);
  }
  CHECK(balancer.metric("lemonade_health_ejections_total") == 0);
  for (auto& client : clients) client.send("\n");
  for (auto& client : clients) CHECK(client.receiveLine() == "ok");
}

TEST_CASE("A backend on probation is not ejected again for what clients send", "[ejection][blame][relayed]") {
  std::atomic<bool> broken{true};
  Server flaky([&](Socket& client) { broken ? (void)client.receiveLine() : picky()(client); });
  Server good(picky());
  Balancer balancer(Config()
                        .set("ejection.base_time", "200ms")
                        .set("health.slow_start", 0)
                        .backend("flaky", flaky.address())
                        .backend("good", good.address()));
  REQUIRE(eventually([&] {
    (void)ask(balancer, "hello");
    return ejections(balancer) == 1;
  }));
  broken = false;
  waitForState(balancer, "flaky", "up");
  for (int i = 0; i < 40; ++i) CHECK(ask(balancer, "garbage").empty());
  CHECK(balancer.metric("lemonade_health_ejections_total") == 1);
  CHECK(isUp(balancer, "flaky"));
}

TEST_CASE("A backend that is broken is ejected also while others send garbage", "[ejection][blame][relayed]") {
  Server bad([](Socket& client) {
    (void)client.receiveLine();
    client.reset();
  });
  Server a(picky()), b(picky());
  Balancer balancer(Config().backend("bad", bad.address()).backend("a", a.address()).backend("b", b.address()));
  // The trial tosses coins, so the number of clients that it takes is random: 120 in the median, and in none of 100,000
  // simulated trials more than 1,400. A limit in seconds would make it depend on the speed of the machine.
  constexpr int kMost = 2'000;
  for (int asked = 1; asked <= kMost && ejections(balancer) == 0; ++asked)
    (void)ask(balancer, asked % 4 == 0 ? "garbage" : "hello");
  REQUIRE(ejections(balancer) == 1);
  CHECK(stateOf(balancer, "bad") == "ejected");
}

}  // namespace lemonade::test
