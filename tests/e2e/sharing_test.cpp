// SPDX-License-Identifier: MIT
//
// Behaviour "Sharing": who gets how many.
#include "support/balancer.h"
#include "support/facts.h"
#include "support/server.h"

#include <Poco/JSON/Array.h>
#include <algorithm>

#include <catch2/catch.hpp>
#include <map>

namespace lemonade::test {
namespace {

/// How often each name occurs, as "a=10 b=20".
std::string shares(const std::vector<std::string>& names) {
  std::map<std::string, int> counts;
  for (const auto& name : names) ++counts[name];
  std::string text;
  for (const auto& [name, count] : counts) text += (text.empty() ? "" : " ") + name + "=" + std::to_string(count);
  return text;
}

/// Who answered count clients, one after the other.
std::string shares(Balancer& balancer, int count) {
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) names.push_back(balancer.ask());
  return shares(names);
}

/// The same, but each client comes only when the one before is gone from the balancer's books.
std::string sharesOneByOne(Balancer& balancer, int count, double others) {
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) {
    names.push_back(balancer.ask());
    REQUIRE(eventually([&] { return balancer.metric("lemonade_backend_active_sessions") == others; }));
  }
  return shares(names);
}

/// Opens count connections and holds them, each greeted by its backend.
struct Held {
  Held(Balancer& balancer, int count) {
    for (int i = 0; i < count; ++i) {
      Socket& client = clients.emplace_back(balancer.connect());
      names.push_back(client.receiveLine());
    }
  }
  std::vector<Socket> clients;
  std::vector<std::string> names;
};

}  // namespace

TEST_CASE("Thirty connections over two backends are fifteen each", "[sharing]") {
  Server a(named("a")), b(named("b"));
  Balancer balancer(Config().set("runtime.workers", 4).backend("a", a.address()).backend("b", b.address()));
  CHECK(shares(balancer, 30) == "a=15 b=15");
}

TEST_CASE("With a dead and a disabled backend besides it is still fifteen each", "[sharing]") {
  Server a(named("a")), b(named("b")), off(named("off"));
  RefusingPort dead;
  Config config;
  config.set("health.fall", 1000)
      .set("ejection.enabled", false)
      .backend("a", a.address())
      .backend("b", b.address())
      .backend("dead", dead.address())
      .backend("off", off.address(), "enabled = false");

  SECTION("before the dead one is noticed") {
    Balancer balancer(config);
    CHECK(shares(balancer, 30) == "a=15 b=15");
  }
  SECTION("after it is noticed") {
    Balancer balancer(config.realChecks());
    waitForState(balancer, "dead", "down");
    CHECK(shares(balancer, 30) == "a=15 b=15");
    CHECK(balancer.backend("off")->getValue<std::string>("state") == "disabled");
    CHECK(balancer.backend("dead")->getValue<std::string>("state") == "down");
  }
}

TEST_CASE("Weights one and two share thirty connections ten to twenty", "[sharing]") {
  Server a(named("a")), b(named("b"));
  Balancer balancer(Config()
                        .set("strategy.algorithm", "weighted_round_robin")
                        .backend("a", a.address(), "weight = 1")
                        .backend("b", b.address(), "weight = 2"));
  CHECK(shares(balancer, 30) == "a=10 b=20");
}

TEST_CASE("Weights five one one are served in the smooth order of nginx", "[sharing]") {
  Server a(named("a")), b(named("b")), c(named("c"));
  Balancer balancer(Config()
                        .set("strategy.algorithm", "weighted_round_robin")
                        .backend("a", a.address(), "weight = 5")
                        .backend("b", b.address(), "weight = 1")
                        .backend("c", c.address(), "weight = 1"));
  std::string order;
  for (int i = 0; i < 14; ++i) order += balancer.ask();
  CHECK(order == "aabacaaaabacaa");
}

TEST_CASE("Two connections held on one backend send the next ten to the other", "[sharing]") {
  Server a(named("a")), b(named("b"));
  Balancer balancer(
      Config().set("strategy.algorithm", "least_connections").backend("a", a.address()).backend("b", b.address()));
  Held held(balancer, 4);
  CHECK(balancer.active("a") == 2);
  CHECK(balancer.active("b") == 2);
  for (std::size_t i = 0; i < held.clients.size(); ++i)
    if (held.names[i] == "b") held.clients[i].close();
  REQUIRE(eventually([&] { return balancer.active("b") == 0; }));
  CHECK(sharesOneByOne(balancer, 10, 2) == "b=10");
}

TEST_CASE("Least connections goes round among equals", "[sharing]") {
  Server a(named("a")), b(named("b")), c(named("c"));
  Balancer balancer(Config()
                        .set("strategy.algorithm", "least_connections")
                        .backend("a", a.address())
                        .backend("b", b.address())
                        .backend("c", c.address()));
  CHECK(sharesOneByOne(balancer, 30, 0) == "a=10 b=10 c=10");
}

/// Waits until so many backends may be picked: a view with them is published a moment after the log tells of a flip.
static void awaitEligible(Balancer& balancer, int count) {
  REQUIRE(eventually(
      [&] { return balancer.status()->getArray("pools")->getObject(0)->getValue<int>("eligible") == count; }));
}

TEST_CASE("Recovered backends all come back and take their share at once and no more", "[sharing]") {
  Server a(named("a")), b(named("b")), c(named("c"));
  Balancer balancer(
      Config().realChecks().backend("a", a.address()).backend("b", b.address()).backend("c", c.address()));
  REQUIRE(eventually([&] { return a.accepted() > 0 && b.accepted() > 0 && c.accepted() > 0; }));
  b.stop();
  c.stop();
  waitForState(balancer, "b", "down");
  waitForState(balancer, "c", "down");
  CHECK(shares(balancer, 10) == "a=10");
  b.restart();
  c.restart();
  waitForState(balancer, "b", "up");
  waitForState(balancer, "c", "up");
  awaitEligible(balancer, 3);
  CHECK(shares(balancer, 30) == "a=10 b=10 c=10");
}

TEST_CASE("A backend that recovers under least connections is not run over", "[sharing]") {
  Server a(named("a")), b(named("b"));
  Balancer balancer(Config()
                        .realChecks()
                        .set("strategy.algorithm", "least_connections")
                        .set("health.slow_start", 0)
                        .backend("a", a.address())
                        .backend("b", b.address()));
  REQUIRE(eventually([&] { return a.accepted() > 0 && b.accepted() > 0; }));
  b.stop();
  waitForState(balancer, "b", "down");
  Held before(balancer, 10);
  b.restart();
  waitForState(balancer, "b", "up");
  awaitEligible(balancer, 2);
  Held after(balancer, 14);
  CHECK(balancer.active("a") == 12);
  CHECK(balancer.active("b") == 12);
}

TEST_CASE("Weight zero gets nothing under any strategy and every other backend gets some", "[sharing]") {
  const std::string algorithm = GENERATE("round_robin", "weighted_round_robin", "least_connections", "random_two",
                                         "fastest_response_time", "peak_ewma", "consistent_hash", "adaptive");
  CAPTURE(algorithm);
  Server a(named("a")), b(named("b")), none(named("none"));
  Balancer balancer(Config()
                        .set("strategy.algorithm", algorithm)
                        .backend("none", none.address(), "weight = 0")
                        .backend("a", a.address())
                        .backend("b", b.address()));
  Held held(balancer, 20);
  const auto a_count = std::count(held.names.begin(), held.names.end(), "a");
  const auto b_count = std::count(held.names.begin(), held.names.end(), "b");
  CHECK(a_count + b_count == 20);
  CHECK(a_count >= 1);
  CHECK(b_count >= 1);
}

TEST_CASE("Adaptive and fastest response time prefer the backend that answers sooner", "[sharing]") {
  const std::string algorithm = GENERATE("fastest_response_time", "adaptive");
  CAPTURE(algorithm);
  const auto answerAfter = [](Millis delay) {
    return [delay](Socket& socket) {
      while (!socket.receiveLine(10min).empty()) {
        // The wait is the work: nothing comes on this socket meanwhile.
        if (delay > 0ms) socket.next(delay);
        socket.send("done\n");
      }
    };
  };
  Server fast(answerAfter(0ms)), slow(answerAfter(100ms));
  Balancer balancer(
      Config().set("strategy.algorithm", algorithm).backend("fast", fast.address()).backend("slow", slow.address()));
  for (int i = 0; i < 40; ++i) {
    Socket client = balancer.connect();
    client.send("work\n");
    CHECK(client.receiveLine() == "done");
    client.close();
    REQUIRE(eventually([&] { return balancer.metric("lemonade_backend_active_sessions") == 0; }));
  }
  const auto sessions = [&](const std::string& id) {
    return balancer.metric("lemonade_backend_sessions_total", {"backend=\"" + id + "\""});
  };
  CHECK(sessions("fast") + sessions("slow") == 40);
  CHECK(sessions("fast") >= 30);
}

}  // namespace lemonade::test
