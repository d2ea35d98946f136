// SPDX-License-Identifier: MIT
//
// Passive health: what real sessions say about a backend takes it out, and time brings it back.
#include "support/balancer.h"
#include "support/facts.h"
#include "support/server.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <list>

namespace lemonade::test {
namespace {

/// Takes the request and resets.
Server::Handler resets() {
  return [](Socket& client) {
    (void)client.receiveLine();
    client.reset();
  };
}

/// Answers each line with its name.
Server::Handler answers(std::string name) {
  return [name](Socket& client) {
    while (!client.receiveLine().empty()) client.send(name + "\n");
  };
}

/// Takes requests and never answers.
Server::Handler hangs() {
  return [](Socket& client) { (void)client.receiveAll(1h); };
}

/// Both backends have been checked: the very first check of one decides alone, and would take it down.
bool bothAreChecked(Balancer& balancer) {
  return eventually([&] { return balancer.metric("lemonade_health_checks_total") >= 4; });
}

/// What a client gets that asks: a name, or nothing where its connection was reset or closed.
std::string ask(Balancer& balancer) try {
  Socket client = balancer.connect();
  client.send("hello\n");
  return client.receiveLine();
} catch (const ResetError&) {
  return "";
}

}  // namespace

TEST_CASE("A backend that resets at once is ejected after some failures and the rest is answered", "[ejection]") {
  Server bad(resets()), good(answers("good"));
  Balancer balancer(Config()
                        .set("strategy.algorithm", "least_connections")
                        .set("runtime.workers", 1)
                        .backend("bad", bad.address())
                        .backend("good", good.address()));
  int failed = 0;
  for (int i = 0; i < 100; ++i) failed += ask(balancer).empty();
  // Three raise suspicion; five more, and fifteen that are answered elsewhere in its place, are proof.
  CHECK(failed >= 8);
  CHECK(failed <= 30);
  const auto line = balancer.process().waitForLog("health: backend is ejected backend=bad");
  CHECK(line.find("WARN") != std::string::npos);
  CHECK(field(line, "reason").find("failures in a row: reset before it answered") != std::string::npos);
  CHECK(field(line, "for") == "10.0s");
  CHECK(stateOf(balancer, "bad") == "ejected");
  CHECK(balancer.backend("bad")->getValue<std::string>("reason").find("reset") != std::string::npos);
  CHECK(balancer.metric("lemonade_backend_ejected", {"backend=\"bad\""}) == 1);
  CHECK(balancer.metric("lemonade_backend_up", {"backend=\"bad\""}) == 1);
  CHECK(ejections(balancer) == 1);
}

TEST_CASE("A backend that closes before it answers is ejected like one that resets", "[ejection]") {
  Server bad([](Socket&client) { (void)client.receiveLine(); }), good(answers("good"));
  Balancer balancer(Config().set("runtime.workers", 1).backend("bad", bad.address()).backend("good", good.address()));
  int failed = 0;
  for (int i = 0; i < 100; ++i) failed += ask(balancer).empty();
  CHECK(failed >= 8);
  CHECK(failed <= 30);
  waitForState(balancer, "bad", "ejected");
  CHECK(reasonOf(balancer, "bad").find("closed before it answered") != std::string::npos);
}

TEST_CASE("Goodbyes that nobody answers eject nobody", "[ejection]") {
  // As PostgreSQL's Terminate: a last message, and the backend closes.
  Server polite([](Socket& client) {
    for (std::string line; !(line = client.receiveLine()).empty() && line != "quit";) client.send("ok\n");
  });
  Server other(answers("other"));
  Balancer balancer(Config()
                        .set("ejection.unanswered_timeout", "50ms")
                        .backend("polite", polite.address())
                        .backend("other", other.address()));
  std::list<Socket> clients;
  for (int i = 0; i < 12; ++i) {
    clients.push_back(balancer.connect());
    clients.back().send("hello\n");
    REQUIRE_FALSE(clients.back().receiveLine().empty());
  }
  for (auto& client : clients) client.send("quit\n");
  for (auto& client : clients) client.finishSending();
  for (auto& client : clients) (void)client.receiveAll();
  REQUIRE(eventually([&] { return balancer.active("polite") == 0; }));
  // Longer than two looks for backends that hang.
  CHECK_FALSE(eventually([&] { return ejections(balancer) != 0; }, 700ms));
}

TEST_CASE("A backend that refuses is ejected and no client notices", "[ejection]") {
  Server good(answers("good"));
  RefusingPort dead;
  Balancer balancer(Config().backend("dead", dead.address()).backend("good", good.address()));
  for (int i = 0; i < 30; ++i) CHECK(ask(balancer) == "good");
  waitForState(balancer, "dead", "ejected");
}

TEST_CASE("A backend that restarts is back as soon as its checks pass", "[ejection]") {
  Server good(answers("good")), restarting(answers("restarting"));
  Balancer balancer(Config()
                        .realChecks()
                        .set("health.rise", 2)
                        .set("health.fall", 1'000)  // the checks do not take it down
                        .set("health.slow_start", 0)
                        .set("ejection.base_time", "1h")
                        .set("ejection.max_time", "1h")
                        .backend("restarting", restarting.address())
                        .backend("good", good.address()));
  REQUIRE(bothAreChecked(balancer));
  restarting.stop();
  REQUIRE(eventually([&] {
    CHECK(ask(balancer) == "good");
    return ejections(balancer) == 1;
  }));
  restarting.restart();
  const auto line = balancer.process().waitForLog("health: backend is back from ejection backend=restarting");
  CHECK(field(line, "reason") == "its checks pass");
  CHECK(eventually([&] { return ask(balancer) == "restarting"; }));
}

TEST_CASE("A backend that refused too few to be ejected gets clients again once its checks pass", "[ejection]") {
  Server good(answers("good")), restarting(answers("restarting"));
  // To peak_ewma a failed connect is a peak of a second, for most of a minute.
  Balancer balancer(Config()
                        .realChecks()
                        .set("health.fall", 1'000)
                        .set("strategy.algorithm", "peak_ewma")
                        .set("ejection.consecutive_failures", 1'000)
                        .backend("restarting", restarting.address())
                        .backend("good", good.address()));
  REQUIRE(bothAreChecked(balancer));
  REQUIRE(eventually([&] { return ask(balancer) == "restarting"; }));
  restarting.stop();
  std::list<Socket> busy;
  REQUIRE(eventually([&] {
    busy.push_back(balancer.connect());
    busy.back().send("hello\n");
    CHECK(busy.back().receiveLine() == "good");
    return balancer.metric("lemonade_backend_connect_failures_total",
                           {"backend=\"restarting\"", "reason=\"refused\""}) != 0;
  }));
  // A few more, so that nothing but the failure speaks for the other one.
  for (int i = 0; i < 5; ++i) busy.push_back(balancer.connect());
  restarting.restart();
  CHECK(eventually([&] { return ask(balancer) == "restarting"; }));
}

TEST_CASE("A backend that passes its checks and resets stays ejected", "[ejection]") {
  Server bad([](Socket& client) {
    if (!client.receiveLine().empty()) client.reset();
  });
  Server good(answers("good"));
  Balancer balancer(Config()
                        .realChecks()
                        .set("ejection.base_time", "1h")
                        .set("ejection.max_time", "1h")
                        .backend("bad", bad.address())
                        .backend("good", good.address()));
  REQUIRE(eventually([&] {
    (void)ask(balancer);
    return stateOf(balancer, "bad") == "ejected";
  }));
  const unsigned checked = bad.accepted();
  REQUIRE(eventually([&] { return bad.accepted() >= checked + 4; }));
  CHECK(stateOf(balancer, "bad") == "ejected");
  CHECK(ejections(balancer) == 1);
}

TEST_CASE("An ejected backend comes back on probation and a backend that recovered stays", "[ejection]") {
  std::atomic<bool> broken{true};
  Server flaky([&](Socket& client) { broken ? resets()(client) : answers("flaky")(client); });
  Server good(answers("good"));
  Balancer balancer(Config()
                        .set("ejection.base_time", "150ms")
                        .set("health.slow_start", 0)
                        .backend("flaky", flaky.address())
                        .backend("good", good.address()));
  REQUIRE(eventually([&] {
    (void)ask(balancer);
    return ejections(balancer) == 2;
  }));
  broken = false;
  REQUIRE(eventually([&] { return ask(balancer) == "flaky"; }));
  const auto before = ejections(balancer);
  for (int i = 0; i < 40; ++i) CHECK_FALSE(ask(balancer).empty());
  CHECK(ejections(balancer) == before);
  CHECK(stateOf(balancer, "flaky") == "up");
}

TEST_CASE("A backend that accepts and hangs is ejected while others answer", "[ejection]") {
  Server hung(hangs()), good(answers("good"));
  Balancer balancer(Config()
                        .set("ejection.unanswered_timeout", "300ms")
                        .set("ejection.base_time", "1h")
                        .set("ejection.max_time", "1h")
                        .backend("hung", hung.address())
                        .backend("good", good.address()));
  std::list<Socket> waiting;
  REQUIRE(eventually([&] {
    waiting.push_back(balancer.connect());
    waiting.back().send("hello\n");
    std::this_thread::sleep_for(10ms);
    return ejections(balancer) == 1;
  }));
  CHECK(reasonOf(balancer, "hung").find("owes") != std::string::npos);
  // The count may be a moment ahead of the workers. With round robin, two in a row show that only one is left.
  const auto quickly = [&] {
    waiting.push_back(balancer.connect());
    waiting.back().send("hello\n");
    return waiting.back().next(300ms) == End::kBytes;
  };
  REQUIRE(eventually([&] { return quickly() && quickly(); }));
  for (int i = 0; i < 10; ++i) CHECK(ask(balancer) == "good");
  waiting.clear();
}

TEST_CASE("Ejection can be switched off and on by a reload", "[ejection]") {
  Server bad(resets()), good(answers("good"));
  auto config = Config().set("runtime.config_watch_interval_millis", 20);
  config.backend("bad", bad.address()).backend("good", good.address());
  Balancer balancer(Config(config).set("ejection.enabled", false));
  int failed = 0;
  for (int i = 0; i < 20; ++i) failed += ask(balancer).empty();
  CHECK(failed == 10);
  balancer.folder().write("lemonade.toml", Config(config).text());
  waitForReloads(balancer, 1);
  REQUIRE(eventually([&] {
    (void)ask(balancer);
    return stateOf(balancer, "bad") == "ejected";
  }));
  balancer.folder().write("lemonade.toml", Config(config).set("ejection.enabled", false).text());
  waitForState(balancer, "bad", "up");
}

TEST_CASE("Sessions of a backend that goes down are closed where the configuration asks for it", "[ejection]") {
  const bool close = GENERATE(true, false);
  std::atomic<bool> broken{false};
  Server flaky([&](Socket& client) {
    if (broken) return client.reset();
    client.send("flaky\n");
    (void)client.receiveAll(1h);
  });
  Server good(named("good"));
  Balancer balancer(Config()
                        .set("health.close_sessions_when_down", close)
                        .backend("flaky", flaky.address())
                        .backend("good", good.address()));
  Socket held = balancer.connect();
  if (held.receiveLine() != "flaky") held = balancer.connect();
  broken = true;
  REQUIRE(eventually([&] {
    (void)ask(balancer);
    return stateOf(balancer, "flaky") == "ejected";
  }));
  if (close)
    CHECK(held.next(5s) == End::kClosed);
  else
    CHECK(held.staysOpen(1200ms));
  held.close();
}

TEST_CASE("Backends of a higher priority serve only what the lower ones cannot", "[ejection]") {
  Server first(named("first")), standby(named("standby"));
  Balancer balancer(
      Config().realChecks().backend("first", first.address()).backend("standby", standby.address(), "priority = 1"));
  for (int i = 0; i < 10; ++i) CHECK(balancer.ask() == "first");
  first.stop();
  // Also before any check or ejection has seen it.
  CHECK(balancer.ask() == "standby");
  waitForState(balancer, "first", "down");
  for (int i = 0; i < 5; ++i) CHECK(balancer.ask() == "standby");
  first.restart();
  CHECK(eventually([&] { return balancer.ask() == "first"; }));
}

TEST_CASE("Below the panic threshold a backend that is down is tried again", "[ejection]") {
  Server up(named("up")), odd(named("odd"));
  RefusingPort dead;
  Balancer balancer(Config()
                        .realChecks()
                        .set("ejection.enabled", false)
                        .raw("health.panic_threshold", "0.6")
                        .backend("up", up.address())
                        .backend("dead", dead.address()));
  balancer.process().waitForLog("balance: too few backends are fit");
  for (int i = 0; i < 10; ++i) CHECK(balancer.ask() == "up");
  CHECK(balancer.metric("lemonade_proxy_retries_total") >= 4);
}

TEST_CASE("A backend that recovered gets its share back slowly", "[ejection]") {
  Server a(named("a")), b(named("b"));
  Balancer balancer(Config()
                        .realChecks()
                        .set("strategy.algorithm", "weighted_round_robin")
                        .set("health.slow_start", "1h")
                        .backend("a", a.address())
                        .backend("b", b.address()));
  REQUIRE(eventually([&] { return b.accepted() >= 1; }));
  b.stop();
  waitForState(balancer, "b", "down");
  b.restart();
  waitForState(balancer, "b", "up");
  REQUIRE(eventually([&] { return balancer.ask() == "b"; }));
  int of_b = 0;
  for (int i = 0; i < 110; ++i) of_b += balancer.ask() == "b";
  CHECK(of_b >= 9);
  CHECK(of_b <= 11);
}

}  // namespace lemonade::test
