// SPDX-License-Identifier: MIT
//
// Clients that wait for a place at a backend: all that they could have are at their max_connections.
#include "support/balancer.h"
#include "support/facts.h"
#include "support/server.h"

#include <catch2/catch.hpp>
#include <future>
#include <list>
#include <vector>

namespace lemonade::test {
namespace {

Config full(const Server& server) { return Config().backend("a", server.address(), "max_connections = 1"); }

/// A client that has the only place.
Socket holding(Balancer& balancer) {
  Socket client = balancer.connect();
  REQUIRE(client.receiveLine() == "a");
  return client;
}

bool queued(Balancer& balancer, int count) {
  return eventually([&] { return balancer.metric("lemonade_proxy_queued_sessions") == count; });
}

}  // namespace

TEST_CASE("Clients wait for a place at a full backend and are served in the order they came", "[queue][relayed]") {
  const int workers = GENERATE(1, 4);
  CAPTURE(workers);
  Server server(named("a"));
  Balancer balancer(full(server).set("runtime.workers", workers));
  Socket holder = holding(balancer);
  std::vector<Socket> waiting;
  for (int i = 0; i < 8; ++i) {
    waiting.push_back(balancer.connect());
    REQUIRE(queued(balancer, i + 1));
  }
  holder.close();
  for (auto& next : waiting) {
    CHECK(next.receiveLine() == "a");
    for (auto& other : waiting)
      if (&other > &next) CHECK(other.staysOpen(20ms));
    next.close();
  }
  CHECK(queued(balancer, 0));
  CHECK(balancer.metric("lemonade_proxy_queued_total") == 8);
}

TEST_CASE("A place that one worker frees serves a client that waits at another", "[queue]") {
  Server server(named("a"));
  Balancer balancer(full(server).set("runtime.workers", 4));
  const auto one = [&] {
    for (int i = 0; i < 100; ++i)
      if (balancer.ask() != "a") return i;
    return 100;
  };
  std::vector<std::future<int>> clients;
  for (int i = 0; i < 8; ++i) clients.push_back(std::async(std::launch::async, one));
  for (auto& client : clients) CHECK(client.get() == 100);
  CHECK(balancer.metric("lemonade_proxy_queued_total") > 0);
  CHECK(queued(balancer, 0));
}

TEST_CASE("A client that waits longer than queue_timeout is closed and counted", "[queue][relayed]") {
  Server server(named("a"));
  Balancer balancer(full(server).set("proxy.queue_timeout", "200ms"));
  Socket holder = holding(balancer);
  Socket late = balancer.connect();
  CHECK(late.next(5s) == End::kClosed);
  CHECK(balancer.metric("lemonade_proxy_unserved_total", {"reason=\"queue_timeout\""}) == 1);
  CHECK(field(sessionLine(balancer), "reason") == "queue-timeout");
  holder.close();
}

TEST_CASE("A client that leaves the queue takes no place", "[queue][relayed]") {
  Server server(named("a"));
  Balancer balancer(full(server));
  Socket holder = holding(balancer);
  Socket leaver = balancer.connect();
  REQUIRE(queued(balancer, 1));
  Socket stayer = balancer.connect();
  REQUIRE(queued(balancer, 2));
  leaver.reset();
  CHECK(queued(balancer, 1));
  holder.close();
  CHECK(stayer.receiveLine() == "a");
}

TEST_CASE("What a client sends while it waits arrives", "[queue][relayed]") {
  Server server(echo());
  Balancer balancer(full(server));
  Socket holder = balancer.connect();
  holder.send("x");
  REQUIRE(holder.receive(1) == "x");
  Socket waiting = balancer.connect();
  waiting.send("patience");
  waiting.finishSending();
  REQUIRE(queued(balancer, 1));
  holder.close();
  CHECK(waiting.receiveAll() == "patience");
}

TEST_CASE("A reload that makes room serves those who wait", "[queue][relayed]") {
  Server a(named("a")), b(named("b"));
  Balancer balancer(full(a).set("runtime.config_watch_interval_millis", 20));
  Socket holder = holding(balancer);
  Socket waiting = balancer.connect();
  REQUIRE(queued(balancer, 1));
  balancer.folder().write("lemonade.toml",
                          full(a).set("runtime.config_watch_interval_millis", 20).backend("b", b.address()).text());
  CHECK(waiting.receiveLine() == "b");
  holder.close();
}

TEST_CASE("Clients in the queue outlast a restart of the backend", "[queue]") {
  constexpr int kClients = 40;
  Server server(named("a"));
  Balancer balancer(full(server).set("health.fall", 1000));
  std::vector<std::future<bool>> clients;
  server.stop();
  for (int i = 0; i < kClients; ++i)
    clients.push_back(std::async(std::launch::async, [&] { return balancer.ask() == "a"; }));
  // Each has been refused, or waits behind one that was.
  REQUIRE(eventually([&] { return balancer.metric("lemonade_proxy_accepted_total") == kClients; }));
  REQUIRE(eventually([&] { return balancer.metric("lemonade_backend_connect_failures_total") >= 1; }));
  server.restart();
  int served = 0;
  for (auto& client : clients) served += client.get() ? 1 : 0;
  CHECK(served == kClients);
}

TEST_CASE("A client in the queue whose place refuses waits until queue_timeout and not for its retries",
          "[queue][relayed]") {
  const int retries = GENERATE(0, 1);
  CAPTURE(retries);
  Server server(named("a"));
  Balancer balancer(full(server)
                        .set("proxy.retries", retries)
                        .set("proxy.queue_timeout", "1500ms")
                        .set("proxy.connect_timeout", "200ms")
                        .set("health.fall", 1000));
  Socket holder = holding(balancer);
  const Stopwatch watch;
  Socket waiting = balancer.connect();
  REQUIRE(queued(balancer, 1));
  server.stop();
  holder.close();
  CHECK(waiting.next(10s) == End::kClosed);
  CHECK(watch.elapsed() >= 1400ms);
  CHECK(watch.elapsed() < 3s * timeFactor());
  CHECK(balancer.metric("lemonade_backend_connect_failures_total") > retries + 1);
  CHECK(balancer.metric("lemonade_proxy_unserved_total", {"reason=\"queue_timeout\""}) == 1);
}

TEST_CASE("A client in the queue waits for a backend that its checks have taken down", "[queue][relayed]") {
  Server server(named("a"));
  Balancer balancer(full(server).realChecks().set("health.fall", 1).set("health.rise", 1));
  Socket holder = holding(balancer);
  Socket waiting = balancer.connect();
  REQUIRE(queued(balancer, 1));
  server.stop();
  REQUIRE(eventually([&] { return balancer.admin("/readyz").status == 503; }));
  holder.close();
  CHECK(balancer.ask().empty());  // nobody else begins to wait
  server.restart();
  CHECK(waiting.receiveLine() == "a");
}

TEST_CASE("A client that queues for one backend is given another that failed it once that is back",
          "[queue][relayed]") {
  Server returning(named("returning")), taken(named("a"));
  Balancer balancer(Config()
                        .set("strategy.algorithm", "com.example.first")
                        .set("health.fall", 1000)
                        .set("proxy.retries", 15)
                        .backend("returning", returning.address())
                        .backend("a", taken.address(), "max_connections = 1"));
  returning.stop();
  Socket holder = holding(balancer);
  Socket waiting = balancer.connect();
  REQUIRE(queued(balancer, 1));
  returning.restart();
  CHECK(waiting.receiveLine() == "returning");
}

TEST_CASE("A stop ends those who wait within the drain timeout", "[queue][relayed]") {
  Server server(named("a"));
  Balancer balancer(full(server).set("runtime.drain_timeout_millis", 500));
  Socket holder = holding(balancer);
  Socket waiting = balancer.connect();
  REQUIRE(queued(balancer, 1));
  CHECK(balancer.stop(5s) == 0);
}

}  // namespace lemonade::test
