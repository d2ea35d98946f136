// SPDX-License-Identifier: MIT
//
// Behaviour "Reload": a backend that leaves drains. Its sessions run on; what is left is closed little by little over
// the last fifth of the drain timeout. The same at a stop.
#include "support/balancer.h"
#include "support/server.h"

#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <catch2/catch.hpp>

namespace lemonade::test {
namespace {

/// Greets with its name, then sends everything back.
Server::Handler greeter(const std::string& name) {
  return [name](Socket& socket) {
    socket.send(name + "\n");
    echo()(socket);
  };
}

/// Two backends and the balancer in front of them.
struct Drained {
  explicit Drained(int millis) : drain_millis(millis) {}

  /// Takes over a configuration with these backends only.
  void reload(const std::vector<std::string>& backends) {
    balancer.folder().write("lemonade.toml", with(backends).text());
    const auto answer = httpGet(balancer.adminAddress(), "/api/v1/reload", "POST");
    INFO(answer.body);
    REQUIRE(answer.status == 200);
  }
  /// So many clients that the backend of that name serves.
  std::vector<Socket> clientsOf(const std::string& name, std::size_t count) {
    std::vector<Socket> clients;
    while (clients.size() < count) {
      Socket client = balancer.connect();
      if (client.receiveLine() == name) clients.push_back(std::move(client));
    }
    return clients;
  }
  Config with(const std::vector<std::string>& backends) const {
    Config config;
    config.set("runtime.drain_timeout_millis", drain_millis);
    for (const auto& name : backends) config.backend(name, (name == "a" ? a : b).address());
    return config;
  }
  double drainClosed() { return balancer.metric("lemonade_proxy_drain_closed_total"); }

  const int drain_millis;
  Server a{greeter("a")};
  Server b{greeter("b")};
  Balancer balancer{with({"a", "b"})};
};

void check(Socket& client) {
  client.send("still here");
  CHECK(client.receive(10) == "still here");
}

/// Waits for each client to be closed; when that was, in the order of closing.
std::vector<Millis> closings(std::vector<Socket>& clients, const Stopwatch& watch, Millis within) {
  std::vector<pollfd> waiting;
  for (const auto& client : clients) waiting.push_back({client.fd(), POLLIN | POLLRDHUP, 0});
  std::vector<Millis> times;
  const Deadline deadline(within);
  while (!waiting.empty() && !deadline.over()) {
    ::poll(waiting.data(), waiting.size(), deadline.remainingMillis());
    const auto closed = std::erase_if(waiting, [](const pollfd& one) { return one.revents != 0; });
    times.insert(times.end(), closed, watch.elapsed());
  }
  return times;
}

}  // namespace

TEST_CASE("Sessions of a removed backend run on while new ones go elsewhere", "[drain]") {
  Drained d(60'000);
  auto clients = d.clientsOf("a", 3);
  d.reload({"b"});
  for (int i = 0; i < 6; ++i) CHECK(d.balancer.ask() == "b");
  for (auto& client : clients) check(client);
  for (auto& client : clients) {
    client.finishSending();
    CHECK(client.receiveAll().empty());
  }
  CHECK(d.drainClosed() == 0);
}

TEST_CASE("A removed backend is shown as draining as long as it has sessions", "[drain]") {
  Drained d(60'000);
  auto clients = d.clientsOf("a", 2);
  d.reload({"b"});
  const auto a = d.balancer.backend("a");
  CHECK(a->getValue<std::string>("state") == "draining");
  CHECK(a->getValue<int>("active") == 2);
  CHECK(d.balancer.metric("lemonade_backend_draining", {"backend=\"a\""}) == 1);
  CHECK(d.balancer.metric("lemonade_backend_draining", {"backend=\"b\""}) == 0);
  CHECK(d.balancer.metric("lemonade_backend_active_sessions", {"backend=\"a\""}) == 2);
  clients.pop_back();
  CHECK(eventually([&] { return d.balancer.active("a") == 1; }));
  clients.clear();
  CHECK(eventually([&] { return d.balancer.status()->getArray("backends")->size() == 1; }));
  CHECK_FALSE(d.balancer.admin("/metrics").body.find("backend=\"a\"") != std::string::npos);
}

TEST_CASE("What is left at a removed backend is closed evenly over the last fifth of the drain timeout", "[drain]") {
  constexpr Millis kTimeout = 2000ms, kFifth = kTimeout / 5;
  Drained d(kTimeout.count());
  auto clients = d.clientsOf("a", 20);
  auto others = d.clientsOf("b", 2);
  const Stopwatch watch;
  d.reload({"b"});
  const auto times = closings(clients, watch, 10s);
  REQUIRE(times.size() == clients.size());
  CHECK(times.front() >= kTimeout - kFifth);
  CHECK(times.back() >= kTimeout - 10ms);
  if (timeFactor() == 1.0) {
    const auto middle = times.back() - kFifth / 2;
    const auto early = std::count_if(times.begin(), times.end(), [&](Millis time) { return time < middle; });
    CHECK(early >= 5);
    CHECK(early <= 15);
    CHECK(times.back() < kTimeout + 1000ms);
  }
  for (auto& other : others) check(other);
  CHECK(d.drainClosed() == 20);
  CHECK(field(d.balancer.process().waitForLog("reason=drain"), "backend") == "a");
}

TEST_CASE("A backend that comes back while it drains is a backend like any other", "[drain]") {
  Drained d(1000);
  auto clients = d.clientsOf("a", 2);
  const Stopwatch watch;
  d.reload({"b"});
  d.reload({"a", "b"});
  const auto again = d.balancer.backend("a");
  CHECK(again->getValue<std::string>("state") == "up");
  CHECK(again->getValue<int>("active") >= 2);
  CHECK(d.balancer.metric("lemonade_backend_sessions_total", {"backend=\"a\""}) >= 2);
  CHECK(d.clientsOf("a", 1).size() == 1);
  CHECK(clients[0].staysOpen(1500ms));
  for (auto& client : clients) check(client);
  CHECK(d.drainClosed() == 0);
}

TEST_CASE("A backend that moves to another address drains at the old one", "[drain]") {
  Drained d(600);
  auto clients = d.clientsOf("a", 4);
  Server moved(greeter("moved"));
  d.balancer.folder().write("lemonade.toml", d.with({}).backend("a", moved.address()).text());
  REQUIRE(httpGet(d.balancer.adminAddress(), "/api/v1/reload", "POST").status == 200);
  CHECK(d.balancer.ask() == "moved");
  check(clients[0]);
  for (auto& client : clients) CHECK(client.next() != End::kOpen);
  CHECK(d.balancer.ask() == "moved");
  CHECK(d.drainClosed() == 4);
}

TEST_CASE("A drain timeout of zero closes the sessions of a removed backend at once", "[drain]") {
  Drained d(0);
  auto clients = d.clientsOf("a", 3);
  auto others = d.clientsOf("b", 1);
  d.reload({"b"});
  for (auto& client : clients) CHECK(client.next() != End::kOpen);
  check(others[0]);
}

TEST_CASE("A client that waits for a removed backend to answer does not outlast the drain", "[drain][relayed]") {
  BlackHole hole;
  Server server(greeter("b"));
  Config both, one;
  for (auto* config : {&both, &one})
    config->set("runtime.drain_timeout_millis", 500).set("proxy.connect_timeout", "60s");
  both.backend("hole", hole.address());
  one.backend("b", server.address());
  Balancer balancer(both);
  Socket client = balancer.connect();
  REQUIRE(eventually([&] { return balancer.active("hole") == 1; }));
  balancer.folder().write("lemonade.toml", one.text());
  REQUIRE(httpGet(balancer.adminAddress(), "/api/v1/reload", "POST").status == 200);
  CHECK(client.next() != End::kOpen);
  CHECK(balancer.ask() == "b");
}

TEST_CASE("A stop closes what is left little by little", "[drain][stopping]") {
  constexpr Millis kTimeout = 2000ms, kFifth = kTimeout / 5;
  Drained d(kTimeout.count());
  auto clients = d.clientsOf("a", 20);
  const Stopwatch watch;
  d.balancer.process().signal(SIGTERM);
  const auto times = closings(clients, watch, 10s);
  REQUIRE(times.size() == clients.size());
  CHECK(times.front() >= kTimeout - kFifth);
  if (timeFactor() == 1.0) {
    CHECK(times.front() < kTimeout - kFifth / 2);
    CHECK(times.back() - times.front() > kFifth / 2);
  }
  CHECK(d.balancer.process().wait(5s) == 0);
}

}  // namespace lemonade::test
