// SPDX-License-Identifier: MIT
//
// Workers share the clients; runtime.workers reloads: more workers begin to serve; of fewer, those that are too many
// drain and end.
#include "support/balancer.h"
#include "support/facts.h"
#include "support/server.h"

#include <Poco/JSON/Array.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <thread>

namespace lemonade::test {
namespace {

struct Served {
  explicit Served(int workers, int millis = 60'000) : drain_millis(millis), balancer(with(workers)) {}
  explicit Served(const Config& config) : drain_millis(0), balancer(config) {}

  Config with(int workers) const {
    Config config;
    config.set("runtime.workers", workers).set("runtime.drain_timeout_millis", drain_millis);
    return config.backend("a", server.address());
  }
  /// How often workers are woken for a client, on average, while several at a time come and go.
  double wakeUpsOfEach() {
    constexpr int kAtOnce = 24, kEach = 20;
    std::atomic<int> answered{0};
    const int before = wakeUps();
    std::vector<std::thread> threads;
    for (int i = 0; i < kAtOnce; ++i)
      threads.emplace_back([&] {
        for (int n = 0; n < kEach; ++n) answered += balancer.ask() == "a" ? 1 : 0;
      });
    for (auto& thread : threads) thread.join();
    CHECK(answered == kAtOnce * kEach);
    return static_cast<double>(wakeUps() - before) / (kAtOnce * kEach);
  }
  void reload(int workers) {
    balancer.folder().write("lemonade.toml", with(workers).text());
    const auto answer = httpGet(balancer.adminAddress(), "/api/v1/reload", "POST");
    INFO(answer.body);
    REQUIRE(answer.status == 200);
  }
  /// Sessions of each worker now, as the status has it.
  std::vector<int> sessions() {
    std::vector<int> sessions;
    const auto workers = balancer.status()->getArray("workers");
    for (unsigned i = 0; i < workers->size(); ++i) sessions.push_back(workers->getObject(i)->getValue<int>("sessions"));
    return sessions;
  }
  /// Adds clients, each of them served, until each of so many workers has one.
  void fill(std::size_t workers) {
    REQUIRE(eventually([&] {
      add(4);
      const auto now = sessions();
      return now.size() == workers && std::count(now.begin(), now.end(), 0) == 0;
    }));
  }
  static void ask(Socket& client) {
    client.send("hello");
    REQUIRE(client.receive(5) == "hello");
  }
  /// Connects one client after the other, each of them served.
  void add(int count) {
    for (int i = 0; i < count; ++i) ask(clients.emplace_back(balancer.connect()));
  }
  /// Calls visit with the folder in /proc of each thread of a worker that the process has.
  template <class Visit>
  void forEachThread(Visit&& visit) {
    for (const auto& task :
         std::filesystem::directory_iterator("/proc/" + std::to_string(balancer.process().pid()) + "/task")) {
      std::string name;
      std::getline(std::ifstream(task.path() / "comm"), name);
      if (name.rfind("worker-", 0) == 0) visit(task.path());
    }
  }
  int threads() {
    int count = 0;
    forEachThread([&](const auto&) { ++count; });
    return count;
  }
  /// How often workers have been woken, all of them together.
  int wakeUps() {
    int sum = 0;
    forEachThread([&](const auto& folder) {
      std::ifstream status(folder / "status");
      for (std::string word; status >> word;)
        if (int count = 0; word == "voluntary_ctxt_switches:" && status >> count) sum += count;
    });
    return sum;
  }

  const int drain_millis;
  Server server{echo()};
  Balancer balancer;
  std::vector<Socket> clients;
};

}  // namespace

TEST_CASE("Clients that come one by one are shared by the workers evenly", "[workers]") {
  Served s(4);
  s.add(80);
  const auto sessions = s.sessions();
  CAPTURE(sessions);
  CHECK(*std::min_element(sessions.begin(), sessions.end()) >= 8);
}

TEST_CASE("Clients that come at once are shared by the workers evenly", "[workers]") {
  const int workers = GENERATE(2, 8);
  CAPTURE(workers);
  Served s(workers);
  const int clients = 16 * workers;
  const std::string address = s.balancer.address();
  for (int i = 0; i < clients; ++i) s.clients.push_back(Socket::connect(address));
  for (auto& client : s.clients) Served::ask(client);
  const auto sessions = s.sessions();
  CAPTURE(sessions);
  CHECK(std::accumulate(sessions.begin(), sessions.end(), 0) == clients);
  CHECK(*std::max_element(sessions.begin(), sessions.end()) <= 20);
}

TEST_CASE("Clients of a burst are served by the workers that are left while others end", "[workers]") {
  Served s(8);
  const std::string address = s.balancer.address();
  std::thread burst([&] {
    for (int i = 0; i < 200; ++i) s.clients.push_back(Socket::connect(address));
  });
  s.reload(1);
  s.reload(4);
  s.reload(2);
  burst.join();
  for (auto& client : s.clients) Served::ask(client);
  s.clients.clear();
  CHECK(eventually([&] { return s.balancer.metric("lemonade_proxy_sessions") == 0; }));
}

TEST_CASE("A client wakes the one worker that serves it", "[workers]") {
  constexpr int kClients = 50, kWorkers = 16;
  Served s(kWorkers);
  s.fill(kWorkers);
  const int before = s.wakeUps();
  s.add(kClients);
  CHECK(s.wakeUps() - before < kClients * kWorkers / 2);
}

TEST_CASE("A place for a client wakes one of the workers that want it", "[workers]") {
  Server server(named("a"));
  Served s(Config().set("runtime.workers", 16).set("proxy.max_connections", 3).backend("a", server.address()));
  CHECK(s.wakeUpsOfEach() < 6);
}

TEST_CASE("A place at a backend wakes the worker of the client that waits longest", "[workers]") {
  Server server(named("a"));
  Served s(Config().set("runtime.workers", 16).backend("a", server.address(), "max_connections = 3"));
  CHECK(s.wakeUpsOfEach() < 6);
  CHECK(s.balancer.metric("lemonade_proxy_queued_total") > 0);
}

TEST_CASE("More workers serve after a reload and of fewer the last ones end with their last session", "[workers]") {
  Served s(1);
  s.fill(1);
  s.reload(3);
  waitForReloads(s.balancer, 1);
  CHECK(eventually([&] { return s.threads() == 3; }));
  s.fill(3);

  s.reload(1);
  for (auto& client : s.clients) Served::ask(client);
  CHECK(s.sessions().size() == 3);
  s.clients.clear();
  CHECK(eventually([&] { return s.threads() == 1; }));
  CHECK(eventually([&] { return s.sessions() == std::vector<int>{0}; }));
  s.fill(1);
  CHECK(s.balancer.metric("lemonade_proxy_drain_closed_total") == 0);

  s.reload(2);
  s.fill(2);
  CHECK(s.threads() == 2);
}

TEST_CASE("Sessions of a worker that is too many are closed within the drain timeout", "[workers][drain][relayed]") {
  Served s(2, 800);
  s.fill(2);
  const auto before = s.sessions();
  const Stopwatch watch;
  s.reload(1);
  REQUIRE(eventually([&] { return s.sessions() == std::vector<int>{before[0]}; }));
  CHECK(watch.elapsed() >= 640ms);
  CHECK(s.balancer.metric("lemonade_proxy_drain_closed_total") == before[1]);
  int open = 0;
  for (auto& client : s.clients) open += client.staysOpen(0ms) ? 1 : 0;
  CHECK(open == before[0]);
}

TEST_CASE("A worker that is wanted again while it drains keeps its sessions", "[workers][drain][relayed]") {
  Served s(2, static_cast<int>(700 * timeFactor()));
  s.fill(2);
  s.reload(1);
  s.reload(2);
  CHECK(s.clients[0].staysOpen(std::chrono::milliseconds(s.drain_millis + 300)));
  for (auto& client : s.clients) Served::ask(client);
  CHECK(s.balancer.metric("lemonade_proxy_drain_closed_total") == 0);
  s.fill(2);
}

TEST_CASE("No request fails while the number of workers changes", "[workers]") {
  Served s(2);
  const std::string address = s.balancer.address();
  std::atomic<bool> done{false};
  std::atomic<int> asked{0}, failed{0};
  std::thread client([&] {
    while (!done.load()) try {
        Socket socket = Socket::connect(address);
        socket.send("x");
        if (socket.receive(1) != "x") ++failed;
        ++asked;
      } catch (const std::exception&) {
        ++failed;
      }
  });
  for (const int workers : {1, 4, 2, 5, 1, 3, 1, 2}) {
    const int before = asked;
    s.reload(workers);
    CHECK(eventually([&] { return asked > before + 20; }));
  }
  done = true;
  client.join();
  CHECK(failed == 0);
}

}  // namespace lemonade::test
