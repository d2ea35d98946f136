// SPDX-License-Identifier: MIT
//
// Behaviour "Limits": connections, descriptors and source ports run out; the balancer holds its limits and recovers.
#include "support/balancer.h"
#include "support/facts.h"
#include "support/privilege.h"
#include "support/processor_time.h"
#include "support/server.h"

#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <list>

namespace lemonade::test {
namespace {

/// Clients that are served, of those that connected: each server greets as soon as it has a connection.
int served(std::list<Socket>& clients) {
  int count = 0;
  for (auto& client : clients) count += client.next(0ms) == End::kBytes;
  return count;
}

std::list<Socket> connectMany(Balancer& balancer, int count) {
  std::list<Socket> clients;
  for (int i = 0; i < count; ++i) clients.push_back(balancer.connect());
  return clients;
}

int openDescriptors(pid_t pid) {
  const std::filesystem::directory_iterator entries("/proc/" + std::to_string(pid) + "/fd");
  return static_cast<int>(std::distance(begin(entries), end(entries)));
}

void limitDescriptors(pid_t pid, rlim_t soft) {
  rlimit limit{};
  REQUIRE(::prlimit(pid, RLIMIT_NOFILE, nullptr, &limit) == 0);
  limit.rlim_cur = soft;
  REQUIRE(::prlimit(pid, RLIMIT_NOFILE, &limit, nullptr) == 0);
}

rlim_t descriptorLimit(pid_t pid) {
  rlimit limit{};
  REQUIRE(::prlimit(pid, RLIMIT_NOFILE, nullptr, &limit) == 0);
  return limit.rlim_cur;
}

}  // namespace

TEST_CASE("max_connections holds exactly and further clients wait until one leaves", "[limits][relayed]") {
  Server server(named("a"));
  Balancer balancer(Config().set("runtime.workers", 4).set("proxy.max_connections", 4).backend("a", server.address()));
  auto clients = connectMany(balancer, 10);
  REQUIRE(eventually([&] { return served(clients) == 4; }));
  Socket later = balancer.connect();
  CHECK(later.staysOpen(300ms));
  CHECK(served(clients) == 4);
  CHECK(balancer.metric("lemonade_proxy_sessions") == 4);

  // All at once: who is served next must not be taken for one of these.
  std::list<Socket> leaving;
  for (auto client = clients.begin(); client != clients.end();) {
    const auto next = std::next(client);
    if (client->next(0ms) == End::kBytes) leaving.splice(leaving.end(), clients, client);
    client = next;
  }
  leaving.clear();
  REQUIRE(eventually([&] { return served(clients) == 4; }));
  CHECK(later.staysOpen(200ms));
  clients.clear();
  CHECK(later.receiveLine() == "a");
}

TEST_CASE("max_connections holds exactly under a storm of short connections", "[limits]") {
  constexpr int kLimit = 3;
  Server server(named("a"));
  Balancer balancer(
      Config().set("runtime.workers", 4).set("proxy.max_connections", kLimit).backend("a", server.address()));
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  const auto storm = [&] {
    for (int i = 0; i < 60; ++i) {
      Socket client = balancer.connect();
      if (client.receiveLine() != "a") return i;
      const int now = ++inside;
      for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
      }
      --inside;
    }
    return 60;
  };
  std::vector<std::future<int>> clients;
  for (int i = 0; i < 8; ++i) clients.push_back(std::async(std::launch::async, storm));
  for (auto& client : clients) CHECK(client.get() == 60);
  CHECK(most <= kLimit);
  CHECK(eventually([&] { return balancer.metric("lemonade_proxy_sessions") == 0; }));
}

TEST_CASE("With max_connections reached clients of every listener have their turn", "[limits][relayed]") {
  Server server(named("a"));
  Balancer balancer(Config()
                        .set("runtime.workers", 1)
                        .set("proxy.max_connections", 1)
                        .raw("proxy.listen_address", "[\"127.0.0.1:0\", \"127.0.0.2:0\"]")
                        .backend("a", server.address()));
  std::atomic<bool> done{false};
  std::vector<std::future<int>> crowd;
  for (int i = 0; i < 6; ++i)
    crowd.push_back(std::async(std::launch::async, [&] {
      int answered = 0;
      for (; !done; ++answered)
        if (balancer.connect(0).receiveLine() != "a") break;
      return answered;
    }));
  const Stopwatch watch;
  for (int i = 0; i < 50; ++i) CHECK(balancer.connect(1).receiveLine() == "a");
  const auto took = watch.elapsed();
  done = true;
  int answered = 0;
  for (auto& client : crowd) answered += client.get();
  CAPTURE(took.count());
  CHECK(answered < 50 * 20);  // about as many as here, not all that there is room for
}

TEST_CASE("A backend's max_connections holds and the rest goes elsewhere or is closed", "[limits]") {
  Server a(named("a")), b(named("b"));
  Balancer balancer(Config()
                        .set("proxy.queue_timeout", 0)
                        .backend("a", a.address(), "max_connections = 2")
                        .backend("b", b.address(), "max_connections = 1"));
  std::list<Socket> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(balancer.connect());
    REQUIRE(clients.back().next() == End::kBytes);
  }
  CHECK(balancer.active("a") == 2);
  CHECK(balancer.active("b") == 1);
  CHECK(balancer.ask().empty());
  clients.clear();
  CHECK(eventually([&] { return !balancer.ask().empty(); }));
}

TEST_CASE("Out of descriptors the balancer logs and backs off and recovers", "[limits][relayed]") {
  Server server(named("a"));
  Balancer balancer(Config().set("proxy.max_connections", 100).backend("a", server.address()));
  REQUIRE(balancer.ask() == "a");
  REQUIRE(eventually([&] { return balancer.metric("lemonade_proxy_sessions") == 0; }));
  const pid_t pid = balancer.process().pid();
  const auto before = descriptorLimit(pid);
  limitDescriptors(pid, static_cast<rlim_t>(openDescriptors(pid)) + 5);

  auto clients = connectMany(balancer, 10);
  balancer.process().waitForLog("descriptor");
  REQUIRE(eventually([&] { return served(clients) >= 2; }));
  const Millis used = processorTime(pid);
  Socket waiting = balancer.connect();
  CHECK(waiting.staysOpen(1000ms));
  CHECK(processorTime(pid) - used < 300ms * timeFactor());
  CHECK(balancer.process().logSize() < 200);

  limitDescriptors(pid, before);
  CHECK(eventually([&] { return served(clients) == 10; }));
  CHECK(waiting.receiveLine() == "a");
}

TEST_CASE("Out of descriptors accepting resumes when clients leave", "[limits]") {
  Server server(named("a"));
  Balancer balancer(Config().set("proxy.max_connections", 100).backend("a", server.address()));
  REQUIRE(balancer.ask() == "a");
  REQUIRE(eventually([&] { return balancer.metric("lemonade_proxy_sessions") == 0; }));
  const pid_t pid = balancer.process().pid();
  const auto before = descriptorLimit(pid);
  limitDescriptors(pid, static_cast<rlim_t>(openDescriptors(pid)) + 5);
  auto clients = connectMany(balancer, 10);
  balancer.process().waitForLog("descriptor");
  for (int gone = 0; gone < 10; ++gone) {
    CAPTURE(gone);
    auto next = clients.end();
    REQUIRE(eventually([&] {
      next = std::find_if(clients.begin(), clients.end(), [](Socket& s) { return s.next(0ms) == End::kBytes; });
      return next != clients.end();
    }));
    clients.erase(next);
  }
  limitDescriptors(pid, before);
}

TEST_CASE("A low descriptor limit is raised to what max_connections needs", "[limits][relayed]") {
  Server server(named("a"));
  Balancer balancer(Config().set("proxy.max_connections", 1000).backend("a", server.address()), {},
                    {"prlimit", "--nofile=128:4096"});
  CHECK(descriptorLimit(balancer.process().pid()) >= 2000);
  CHECK(balancer.ask() == "a");
}

TEST_CASE("A descriptor limit that may not be raised is warned about and never fatal", "[limits]") {
  if (!isRoot()) return skip("only root can drop the right to raise limits");
  Server server(named("a"));
  Balancer balancer(
      Config().set("proxy.max_connections", 100'000).backend("a", server.address()), {},
      {"setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource", "prlimit", "--nofile=256:256"});
  CHECK(balancer.process().waitForLog("descriptor").find("WARN") != std::string::npos);
  CHECK(balancer.ask() == "a");
}

TEST_CASE("With source ports used up the log says so and another backend is tried", "[limits][relayed]") {
  if (!isRoot()) return skip("only root can have a network of its own");
  inOwnNetwork([] {
    // Four source ports to each destination, and all four to backend a taken.
    std::ofstream("/proc/sys/net/ipv4/ip_local_port_range") << "40000 40003";
    Server a(named("a"), "127.0.0.1:5001"), b(named("b"), "127.0.0.1:5002");
    std::list<Socket> taken;
    while (taken.size() < 4) taken.push_back(Socket::connect(a.address()));
    Balancer balancer(Config()
                          .set("proxy.listen_address", "127.0.0.1:5000")
                          .set("admin.listen_address", "127.0.0.1:5003")
                          .set("strategy.algorithm", "com.example.first")
                          .set("health.fall", 1000)
                          .backend("a", a.address())
                          .backend("b", b.address()));
    Socket client = Socket::connect(balancer.address(), "127.0.0.2:30000");
    CHECK(client.receiveLine() == "b");
    CHECK(balancer.process().waitForLog("source port").find("backend=a") != std::string::npos);
  });
}

TEST_CASE("Without a source port to any backend a client waits and no backend is blamed", "[limits][relayed]") {
  if (!isRoot()) return skip("only root can have a network of its own");
  const std::string host = GENERATE("127.0.0.1", "[::1]");
  CAPTURE(host);
  inOwnNetwork([&host] {
    std::ofstream("/proc/sys/net/ipv4/ip_local_port_range") << "40000 40003";
    Server a(named("a"), host + ":5001");
    std::list<Socket> taken;
    while (taken.size() < 4) taken.push_back(Socket::connect(a.address()));
    Balancer balancer(Config()
                          .set("proxy.listen_address", "127.0.0.1:5000")
                          .set("admin.listen_address", "127.0.0.1:5003")
                          .set("proxy.retries", 0)
                          .backend("a", a.address()));
    Socket client = Socket::connect(balancer.address(), "127.0.0.2:30000");
    REQUIRE(eventually([&] { return balancer.metric("lemonade_proxy_port_waits_total") >= 3; }));
    CHECK(client.staysOpen(0ms));
    for (auto& one : taken) one.reset();
    CHECK(client.receiveLine() == "a");
    CHECK(balancer.metric("lemonade_backend_connect_failures_total") == 0);
    CHECK(balancer.metric("lemonade_health_ejections_total") == 0);
  });
}

TEST_CASE("The log says once when max_connections is reached and once when that is over", "[limits][relayed]") {
  Server server(named("a"));
  Balancer balancer(Config().set("proxy.max_connections", 2).backend("a", server.address()));
  std::list<Socket> clients;
  for (int i = 0; i < 2; ++i) REQUIRE(clients.emplace_back(balancer.connect()).receiveLine() == "a");
  std::list<Socket> waiting;
  for (int i = 0; i < 3; ++i) waiting.push_back(balancer.connect());
  const auto reached = balancer.process().waitForLog("max_connections is reached");
  CHECK(field(reached, "max_connections") == "2");
  while (!waiting.empty()) {
    clients.pop_front();
    CHECK(waiting.front().receiveLine() == "a");
    clients.splice(clients.end(), waiting, waiting.begin());
  }
  CHECK(balancer.process().countLog("max_connections is no longer reached") == 0);
  clients.clear();
  const auto over = balancer.process().waitForLog("max_connections is no longer reached");
  CHECK(field(over, "waited") == "3");
  CHECK(field(over, "for").back() == 's');
  CHECK(balancer.metric("lemonade_proxy_waited_total") == 3);
  CHECK(balancer.process().countLog("max_connections is reached", 1) == 1);
}

TEST_CASE("An idle session is closed after the idle timeout and never where it is zero", "[limits]") {
  Server server(echo());
  const auto idle = [&](const std::string& timeout) {
    return Config().set("proxy.idle_timeout", timeout).backend("a", server.address());
  };

  SECTION("300ms") {
    const Millis timeout(static_cast<long>(300 * timeFactor()));
    Balancer balancer(idle(std::to_string(timeout.count()) + "ms"));
    Socket client = balancer.connect();
    // Bytes keep it alive for longer than the timeout.
    const Stopwatch watch;
    while (watch.elapsed() < 3 * timeout) {
      client.send("x");
      REQUIRE(client.receive(1) == "x");
      REQUIRE(client.staysOpen(50ms));
    }
    CHECK(client.next(5s) != End::kOpen);
    CHECK(field(sessionLine(balancer), "reason") == "idle-timeout");
  }
  SECTION("0s") {
    Balancer balancer(idle("0s"));
    Socket client = balancer.connect();
    client.send("x");
    REQUIRE(client.receive(1) == "x");
    CHECK(client.staysOpen(800ms));
  }
}

}  // namespace lemonade::test
