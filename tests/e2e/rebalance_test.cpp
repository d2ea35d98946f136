// SPDX-License-Identifier: MIT
//
// Behaviour "Rebalancing": quiet sessions are closed, few at a time, so that clients which reconnect spread evenly, or
// since they are old; none that owes or is owed a byte.
#include "support/balancer.h"
#include "support/redis.h"
#include "support/server.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace lemonade::test {
namespace {

/// A pool of connections to Redis as clients keep one: a connection that was closed while nobody used it is made anew,
/// and a command to which no answer comes is sent once more. One thread has each connection count up in turn, about
/// every tenth of a second.
class RedisClients {
 public:
  RedisClients(std::string address, int count) : address_(std::move(address)) {
    for (int i = 0; i < count; ++i) connections_.push_back({});
    thread_ = std::thread([this] { run(); });
  }
  ~RedisClients() { stop(); }
  void stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }

  // Any thread.
  long counted() const { return counted_; }
  long repeated() const { return repeated_; }
  long failed() const { return failed_; }

 private:
  using Clock = std::chrono::steady_clock;
  struct Connection {
    std::optional<Socket> socket;
    Clock::time_point next = Clock::now();
  };

  void run() {
    std::minstd_rand random;
    while (!stopping_) {
      const auto now = Clock::now();
      for (auto& one : connections_) {
        if (now < one.next) continue;
        use(one);
        one.next = now + Millis(80 + random() % 40);
      }
      ::poll(nullptr, 0, 1);
    }
  }
  void use(Connection& one) {
    if (one.socket && one.socket->next(0ms) != End::kOpen) one.socket.reset();
    for (int attempt = 0; attempt < 2; ++attempt) {
      if (increment(one)) return void(++counted_);
      one.socket.reset();
      if (attempt == 0) ++repeated_;
    }
    ++failed_;
  }
  bool increment(Connection& one) try {
    if (!one.socket) one.socket = Socket::connect(address_);
    one.socket->send("INCR n\r\n");
    return one.socket->receiveLine().starts_with(":");
  } catch (const std::exception&) {
    return false;
  }

  const std::string address_;
  std::vector<Connection> connections_;
  std::atomic<bool> stopping_{false};
  std::atomic<long> counted_{0}, repeated_{0}, failed_{0};
  std::thread thread_;
};

/// Answers each line with it, but "hold" only once it is told to, and "much" with more than sockets hold.
struct Holding {
  Server::Handler handler() {
    return [this](Socket& socket) {
      for (;;) {
        const auto line = socket.receiveLine();
        if (line.empty()) return;
        if (line == "hold") (void)eventually([this] { return released.load(); });
        socket.send((line == "much" ? std::string(kMuch, 'x') : line) + "\n", 60s);
      }
    };
  }
  static constexpr std::size_t kMuch = 30'000'000;
  std::atomic<bool> released{false};
};

Poco::JSON::Object::Ptr rebalanceOf(Balancer& balancer) {
  return balancer.status()->getArray("pools")->getObject(0)->getObject("rebalance");
}

Config withTwo(const std::string& a, const std::string& b) {
  return Config().set("proxy.quiet_after", "50ms").backend("a", a).backend("b", b);
}

}  // namespace

TEST_CASE("Clients of Redis are even again soon after a restart of one, and no command fails", "[rebalance]") {
  constexpr int kClients = 12;
  Redis a;
  auto b = std::make_unique<Redis>();
  Balancer balancer(withTwo(a.address(), b->address())
                        .realChecks()
                        .set("strategy.algorithm", "adaptive")
                        .set("proxy.rebalance", "quiet")
                        .set("health.slow_start", "0s"));
  RedisClients clients(balancer.address(), kClients);
  const auto port = b->port();
  b.reset();
  REQUIRE(eventually([&] { return balancer.active("a") == kClients && balancer.active("b") == 0; }));
  b = std::make_unique<Redis>(port);
  REQUIRE(eventually([&] { return balancer.backend("b")->getValue<std::string>("state") == "up"; }));
  const long failed = clients.failed(), counted = clients.counted();
  CHECK(eventually([&] { return std::abs(balancer.active("a") - balancer.active("b")) <= 2; }, 30s));
  CHECK(eventually([&] { return rebalanceOf(balancer)->getValue<std::string>("state") == "even"; }));
  clients.stop();
  const double crossed = balancer.metric("lemonade_pool_quiet_crossed_total");
  INFO("crossed " << crossed << ", repeated " << clients.repeated());
  CHECK(clients.failed() == failed);
  CHECK(clients.counted() > counted);
  CHECK(crossed <= 1);
  const double closed = balancer.metric("lemonade_pool_quiet_closed_total", {"reason=\"rebalance\""});
  CHECK(closed >= 3);
  CHECK(closed <= kClients);
  CHECK(rebalanceOf(balancer)->getValue<int>("closed") == static_cast<int>(closed));
  CHECK(balancer.admin("/api/v1/events").body.find("rebalance_ended") != std::string::npos);
}

TEST_CASE("A command is carried out once, whenever its session is closed", "[rebalance]") {
  Redis a, b;
  Balancer balancer(withTwo(a.address(), b.address()).set("proxy.max_session_age", "200ms"));
  RedisClients clients(balancer.address(), 10);
  const auto aged = [&] { return balancer.metric("lemonade_pool_quiet_closed_total", {"reason=\"max_age\""}); };
  CHECK(eventually([&] { return aged() >= 50; }, 20s));
  clients.stop();
  CHECK(clients.failed() == 0);
  CHECK(clients.repeated() <= balancer.metric("lemonade_pool_quiet_crossed_total"));
  const auto countOf = [](Redis& redis) { return std::atol(redis.cli({"get", "n"}).c_str()); };
  CHECK(countOf(a) + countOf(b) == clients.counted());
  CHECK(field(balancer.process().waitForLog("reason=max-age"), "exchanges") != "0");
}

TEST_CASE("No session is closed that owes or is owed a byte, however old it is", "[rebalance]") {
  Holding holding;
  Server a(holding.handler()), b(holding.handler());
  Balancer balancer(withTwo(a.address(), b.address()).set("proxy.max_session_age", "200ms"));
  const auto ask = [&](const std::string& line) {
    Socket client = balancer.connect();
    client.send("hello\n");
    REQUIRE(client.receiveLine() == "hello");
    if (!line.empty()) client.send(line + "\n");
    return client;
  };
  Socket unasked = balancer.connect();
  Socket waiting = ask("hold"), slow = ask("much"), quiet = ask("");
  CHECK(quiet.next() == End::kClosed);
  CHECK(waiting.staysOpen(400ms));
  CHECK(unasked.next(0ms) == End::kOpen);
  const bool came_whole = slow.receive(Holding::kMuch) == std::string(Holding::kMuch, 'x');
  CHECK(came_whole);
  CHECK(slow.receiveLine().empty());
  holding.released = true;
  CHECK(waiting.receiveLine() == "hold");
  for (Socket* one : {&waiting, &slow}) CHECK(one->next() == End::kClosed);
  CHECK(balancer.metric("lemonade_pool_quiet_closed_total", {"reason=\"max_age\""}) == 3);
  CHECK(balancer.metric("lemonade_pool_quiet_crossed_total") == 0);
}

TEST_CASE("Sessions that came together are not closed together for their age", "[rebalance]") {
  constexpr Millis kAge = 2000ms;
  Server a(echo()), b(echo());
  Balancer balancer(withTwo(a.address(), b.address()).set("proxy.max_session_age", "2s"));
  std::vector<Socket> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(balancer.connect());
    clients.back().send("hello");
    REQUIRE(clients.back().receive(5) == "hello");
  }
  const Stopwatch watch;
  std::vector<Millis> times;
  REQUIRE(eventually([&] {
    const auto closed = std::erase_if(clients, [](Socket& one) { return one.next(0ms) == End::kClosed; });
    times.insert(times.end(), closed, watch.elapsed());
    return clients.empty();
  }));
  CHECK(times.front() >= kAge * 3 / 4);
  CHECK(times.back() - times.front() >= kAge / 20);
  if (timeFactor() == 1.0) CHECK(times.back() <= kAge + 1000ms);
}

TEST_CASE("No quiet session is closed while one backend alone may be picked", "[rebalance]") {
  Server a(echo()), b(echo());
  Balancer balancer(withTwo(a.address(), b.address()).set("proxy.max_session_age", "50ms"));
  REQUIRE(httpGet(balancer.adminAddress(), "/api/v1/pools/default/backends/b/disable", "POST").status == 200);
  Socket client = balancer.connect();
  client.send("hello");
  REQUIRE(client.receive(5) == "hello");
  CHECK(client.staysOpen(500ms));
  REQUIRE(httpGet(balancer.adminAddress(), "/api/v1/pools/default/backends/b/enable", "POST").status == 200);
  CHECK(client.next() == End::kClosed);
}

TEST_CASE("What a client sends when its session is closed reaches no backend, and is counted", "[rebalance]") {
  std::atomic<int> got{0};
  const auto handler = [&](Socket& socket) {
    for (;;) {
      const auto line = socket.receiveLine();
      if (line.empty()) return;
      ++got;
      socket.send(line + "\n");
    }
  };
  Server a(handler), b(handler);
  Balancer balancer(withTwo(a.address(), b.address()).set("proxy.max_session_age", "100ms"));
  Socket client = balancer.connect();
  client.send("first\n");
  REQUIRE(client.receiveLine() == "first");
  // Blind to the FIN, as one that is just on its way.
  REQUIRE(eventually([&] { return balancer.active("a") + balancer.active("b") == 0; }));
  client.send("second\n");
  CHECK(eventually([&] { return balancer.metric("lemonade_pool_quiet_crossed_total") == 1; }));
  CHECK(client.receiveAll().empty());
  CHECK(got == 1);
}

}  // namespace lemonade::test
