// SPDX-License-Identifier: MIT
//
// Keys of the data path that reload: each is seen to take effect from outside, also on what is under way.
#include "e2e/reloading.h"
#include "support/server.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

namespace lemonade::test {
namespace {

/// One backend a, and the configuration that has it.
struct One {
  Server a{named("a")};
  Config with(const std::string& key, const std::string& raw) const {
    return unwatched().raw(key, raw).backend("a", a.address());
  }
};

bool refuses(const std::string& address) {
  try {
    return Socket::connect(address).next(1s) != End::kOpen;
  } catch (const ResetError&) {
    return true;
  }
}

/// A free address, which another process might take before it is used.
std::string freeAddress() { return localAddressOf(bindTo("127.0.0.1:0").get()); }

/// One whose port nobody has on any address, and below those that the system gives to others meanwhile.
std::string exclusiveAddress() {
  for (int port = 12'000 + ::getpid() % 18'000;; ++port) try {
      (void)listenOn("0.0.0.0:" + std::to_string(port));
      return "127.0.0.1:" + std::to_string(port);
    } catch (const std::exception&) {
      // Somebody has it.
    }
}

}  // namespace

TEST_CASE("A reload moves the listener and sessions of the old one go on", "[reload]") {
  Server server(echo());
  Config config = unwatched();
  Balancer balancer(config.backend("a", server.address()));
  const std::string old = balancer.address();
  Socket live = balancer.connect();
  const std::string moved = freeAddress();
  CHECK(contains(reload(balancer, config.set("proxy.listen_address", moved)), "-> [" + moved + "]"));
  CHECK(balancer.status()->getArray("listeners")->getObject(0)->getArray("addresses")->getElement<std::string>(0) ==
        moved);
  CHECK(refuses(old));
  Socket fresh = Socket::connect(moved);
  for (Socket* client : {&live, &fresh}) {
    client->send("hello");
    CHECK(client->receive(5) == "hello");
  }
}

TEST_CASE("A reload replaces one address of a port by all and all by one", "[reload]") {
  One one;
  const std::string narrow = exclusiveAddress();
  const std::string port = std::to_string(portOf(narrow)), wide = "0.0.0.0:" + port;
  const auto at = [&](const std::string& address) { return one.with("proxy.listen_address", "\"" + address + "\""); };
  Balancer balancer(at(narrow));
  Socket live = Socket::connect(narrow);
  REQUIRE(live.receiveLine() == "a");
  for (int i = 0; i < 3; ++i) {
    reload(balancer, at(wide));
    CHECK(Socket::connect(narrow).receiveLine() == "a");
    CHECK(Socket::connect("127.0.0.2:" + port).receiveLine() == "a");
    reload(balancer, at(narrow));
    CHECK(Socket::connect(narrow).receiveLine() == "a");
    CHECK(refuses("127.0.0.2:" + port));
  }
  CHECK(live.staysOpen(50ms));
  // Nobody else gets in, and side by side they are refused as at a start.
  CHECK_THROWS(listenOn(wide));
  write(balancer, one.with("proxy.listen_address", "[\"" + narrow + "\", \"" + wide + "\"]"));
  CHECK(requestReload(balancer).status == 422);
  CHECK(Socket::connect(narrow).receiveLine() == "a");
}

TEST_CASE("Clients that follow a listener from port to port are never refused", "[reload]") {
  One one;
  const std::string first = freeAddress(), second = freeAddress();
  const auto at = [&](const std::string& addresses) { return one.with("proxy.listen_address", addresses); };
  const std::string only_first = "\"" + first + "\"", only_second = "\"" + second + "\"";
  Balancer balancer(at(only_first));
  std::atomic<bool> done{false}, use_second{false};
  std::atomic<int> asked{0}, failed{0};
  std::thread client([&] {
    while (!done) try {
        if (Socket::connect(use_second ? second : first).receiveLine() != "a") ++failed;
        ++asked;
      } catch (const std::exception&) {
        ++failed;
      }
  });
  const auto served = [&] {
    const int before = asked;
    return eventually([&] { return asked > before + 20 || failed > 0; });
  };
  for (int i = 0; i < 6; ++i) {
    reload(balancer, at("[" + only_first + ", " + only_second + "]"));
    use_second = !use_second;
    REQUIRE(served());
    reload(balancer, at(use_second ? only_second : only_first));
    REQUIRE(served());
  }
  done = true;
  client.join();
  CHECK(failed == 0);
}

TEST_CASE("A reload changes max_connections for clients that wait", "[reload]") {
  One one;
  Balancer balancer(one.with("proxy.max_connections", "1"));
  Socket first = balancer.connect(), second = balancer.connect();
  REQUIRE(first.receiveLine() == "a");
  REQUIRE(second.staysOpen(100ms));
  reload(balancer, one.with("proxy.max_connections", "2"));
  CHECK(second.receiveLine() == "a");
  // A lower limit cuts nobody off.
  reload(balancer, one.with("proxy.max_connections", "1"));
  CHECK(first.staysOpen(50ms));
  second.close();
  Socket third = balancer.connect();
  CHECK(third.staysOpen(100ms));
  first.close();
  CHECK(third.receiveLine() == "a");
}

TEST_CASE("A reload changes the idle timeout of sessions that are open already", "[reload]") {
  One one;
  Balancer balancer(one.with("proxy.idle_timeout", "\"0s\""));
  Socket idle = balancer.connect();
  REQUIRE(idle.receiveLine() == "a");
  reload(balancer, one.with("proxy.idle_timeout", "\"200ms\""));
  CHECK(idle.next() != End::kOpen);
  CHECK(balancer.metric("lemonade_backend_idle_timeouts_total") == 1);
  reload(balancer, one.with("proxy.idle_timeout", "\"1h\""));
  Socket other = balancer.connect();
  REQUIRE(other.receiveLine() == "a");
  CHECK(other.staysOpen(500ms));
}

TEST_CASE("A reload changes the connect timeout of a client that is waiting for its backend", "[reload]") {
  BlackHole hole;
  Config config = unwatched();
  config.set("proxy.connect_timeout", "1h").set("proxy.retries", 0).backend("hole", hole.address());
  Balancer balancer(config);
  Socket client = balancer.connect();
  REQUIRE(eventually([&] { return balancer.active("hole") == 1; }));
  reload(balancer, config.set("proxy.connect_timeout", "100ms"));
  CHECK(client.next(5s) != End::kOpen);
  CHECK(balancer.metric("lemonade_backend_connect_failures_total", {"timeout"}) == 1);
}

TEST_CASE("A reload changes how many other backends are tried", "[reload]") {
  RefusingPort dead;
  Server good(named("good"));
  Config config = unwatched();
  config.set("strategy.algorithm", "com.example.first")
      .set("proxy.retries", 0)
      .backend("dead", dead.address())
      .backend("good", good.address());
  Balancer balancer(config);
  CHECK(balancer.ask() == "");
  reload(balancer, config.set("proxy.retries", 1));
  CHECK(balancer.ask() == "good");
  reload(balancer, config.set("proxy.retries", 0));
  CHECK(balancer.ask() == "");
}

TEST_CASE("A reload changes the accept queue and the keep-alive of a listener that stays", "[reload]") {
  One one;
  Balancer balancer(one.with("proxy.tcp_keepalive", "\"0s\""));
  const std::string address = balancer.address();
  const auto port = std::to_string(portOf(address));
  const auto keepsAlive = [&] {
    Socket client = Socket::connect(address);
    REQUIRE(client.receiveLine() == "a");
    return contains(run({"ss", "-tnHo", "sport = :" + port}).out, "keepalive");
  };
  CHECK_FALSE(keepsAlive());
  reload(balancer, one.with("proxy.tcp_keepalive", "\"77s\"").set("proxy.backlog", 7));
  CHECK(keepsAlive());
  // Of a listening socket ss shows the backlog as Send-Q, the third column.
  std::istringstream line(run({"ss", "-tnHl", "sport = :" + port}).out);
  std::string state, waiting, backlog;
  line >> state >> waiting >> backlog;
  CHECK(backlog == "7");
}

TEST_CASE("A reload changes weight and limit and enabled of backends and adds some", "[reload]") {
  Server a(named("a")), b(named("b")), c(named("c"));
  const auto with = [&](const std::string& more_a, const std::string& more_b) {
    Config config = unwatched();
    config.set("strategy.algorithm", "weighted_round_robin").backend("a", a.address(), more_a);
    return config.backend("b", b.address(), more_b);
  };
  Balancer balancer(with("weight = 1", "weight = 1"));
  const auto shares = [&](int asks) {
    std::map<std::string, int> count;
    for (int i = 0; i < asks; ++i) ++count[balancer.ask()];
    return count;
  };
  using Count = std::map<std::string, int>;
  REQUIRE(shares(6) == Count{{"a", 3}, {"b", 3}});
  CHECK(contains(reload(balancer, with("weight = 1", "weight = 5")), "backend b: weight 1 -> 5"));
  CHECK(shares(12) == Count{{"a", 2}, {"b", 10}});
  CHECK(contains(reload(balancer, with("weight = 0", "weight = 5")), "backend a: weight 1 -> 0"));
  CHECK(shares(4) == Count{{"b", 4}});
  CHECK(contains(reload(balancer, with("", "enabled = false")), "backend b: enabled true -> false"));
  CHECK(shares(4) == Count{{"a", 4}});
  CHECK(contains(reload(balancer, with("max_connections = 1", "")), "backend a: max_connections 0 -> 1"));
  Socket held = balancer.connect();
  while (held.receiveLine() != "a") held = balancer.connect();
  CHECK(shares(4) == Count{{"b", 4}});
  CHECK(contains(reload(balancer, with("enabled = false", "enabled = false").backend("c", c.address())), "c: added"));
  CHECK(shares(3) == Count{{"c", 3}});
  CHECK(held.staysOpen(50ms));
}

TEST_CASE("A reload changes the options of the strategy", "[reload]") {
  One one;
  Config config = one.with("strategy.algorithm", "\"com.example.stubborn\"");
  Balancer balancer(config.set("strategy.options.answer", "none"));
  // A reset may come before connect() has returned.
  const auto end = [&] {
    try {
      return balancer.connect().next();
    } catch (const ResetError&) {
      return End::kReset;
    }
  };
  CHECK(end() == End::kClosed);
  CHECK(contains(reload(balancer, config.set("strategy.options.answer", "reject")), "options changed"));
  CHECK(end() == End::kReset);
  write(balancer, config.set("strategy.options.answer", "perhaps"));
  const auto refused = requestReload(balancer);
  CHECK(refused.status == 422);
  CHECK(contains(refused.body, "perhaps"));
  CHECK(end() == End::kReset);
}

TEST_CASE("A stop takes no longer than the timeouts of the newest configuration say", "[reload][stopping]") {
  One one;
  const std::string key = GENERATE("runtime.drain_timeout_millis", "runtime.accept_timeout_millis");
  CAPTURE(key);
  const auto with = [&](const std::string& millis) {
    return one.with("runtime.drain_timeout_millis", "3600000")
        .raw("runtime.accept_timeout_millis", "3600000")
        .raw(key, millis);
  };
  Balancer balancer(with("3600000"));
  Socket hanging = balancer.connect();
  REQUIRE(hanging.receiveLine() == "a");
  reload(balancer, with("300"));
  balancer.process().signal(SIGTERM);
  CHECK(balancer.process().wait(10s) == 0);
}

}  // namespace lemonade::test
