// SPDX-License-Identifier: MIT
//
// Clients that wait for a place at a backend: all that they could have are at their max_connections.
#include "support/balancer.h"
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

TEST_CASE("Clients wait for a place at a full backend and are served in the order they came", "[queue]") {
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

TEST_CASE("A client that waits longer than queue_timeout is closed and counted", "[queue]") {
  Server server(named("a"));
  Balancer balancer(full(server).set("proxy.queue_timeout", "200ms"));
  Socket holder = holding(balancer);
  Socket late = balancer.connect();
  CHECK(late.next(5s) == End::kClosed);
  CHECK(balancer.metric("lemonade_proxy_unserved_total", {"reason=\"queue_timeout\""}) == 1);
  const auto line = balancer.process().waitForLog("reason=queue-timeout");
  CHECK(line.find("session closed") != std::string::npos);
  holder.close();
}

TEST_CASE("A client that leaves the queue takes no place", "[queue]") {
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

TEST_CASE("What a client sends while it waits arrives", "[queue]") {
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

TEST_CASE("A reload that makes room serves those who wait", "[queue]") {
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

TEST_CASE("A stop ends those who wait within the drain timeout", "[queue]") {
  Server server(named("a"));
  Balancer balancer(full(server).set("runtime.drain_timeout_millis", 500));
  Socket holder = holding(balancer);
  Socket waiting = balancer.connect();
  REQUIRE(queued(balancer, 1));
  CHECK(balancer.stop(5s) == 0);
}

}  // namespace lemonade::test
