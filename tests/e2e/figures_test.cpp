// SPDX-License-Identifier: MIT
//
// The figures that an operator looks at first: errors by kind and their rate, percentiles of late, waits, lags, limits.
#include "misfit.h"
#include "support/balancer.h"
#include "support/facts.h"
#include "support/server.h"

#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <future>
#include <thread>
#include <vector>

namespace lemonade::test {
namespace {

std::string eachRelay() { return GENERATE(as<std::string>{}, "epoll", "io_uring"); }

Config plain() { return Config().set("proxy.relay", eachRelay()).set("health.checker", "none"); }

Poco::JSON::Object::Ptr first(Balancer& balancer, const std::string& what) {
  return balancer.status()->getArray(what)->getObject(0);
}

/// Answers each line after that long.
Server::Handler answeringAfter(Millis time) {
  return [time](Socket& socket) {
    while (!socket.receiveLine(10min).empty()) {
      std::this_thread::sleep_for(time);
      socket.send("done\n");
    }
  };
}

}  // namespace

TEST_CASE("A backend that refuses is an error of its own and of the pool and of the listener", "[figures]") {
  RefusingPort dead;
  Balancer balancer(plain().set("proxy.retries", 0).set("ejection.enabled", false).backend("dead", dead.address()));
  for (int i = 0; i < 5; ++i) CHECK(balancer.ask().empty());
  const auto errors = [&](const std::string& of, const std::string& reason) {
    return balancer.metric("lemonade_" + of + "_errors_total", {"reason=\"" + reason + "\""});
  };
  CHECK(errors("backend", "refused") == 5);
  CHECK(errors("pool", "connect_failed") == 5);
  CHECK(errors("listener", "connect_failed") == 5);
  CHECK(balancer.metric("lemonade_backend_errors_total") == 5);
  CHECK(balancer.metric("lemonade_pool_errors_total") == 5);
  CHECK(balancer.metric("lemonade_pool_clients_total") == 5);
  for (const char* what : {"backends", "pools", "listeners"}) {
    CAPTURE(what);
    CHECK(first(balancer, what)->getValue<double>("error_rate") > 0);
    CHECK(first(balancer, what)->getValue<double>("error_share") == 1);
  }
}

TEST_CASE("A backend that resets or closes early is an error of its own and of the pool and of the listener",
          "[figures]") {
  Server resets([](Socket& socket) {
    socket.receiveLine();
    socket.reset();
  });
  Server closes([](Socket& socket) { socket.receiveLine(); });
  const bool reset = GENERATE(true, false);
  const std::string reason = reset ? "reset" : "early_close";
  CAPTURE(reason);
  Balancer balancer(plain().set("ejection.enabled", false).backend("bad", reset ? resets.address() : closes.address()));
  for (int i = 0; i < 3; ++i) {
    Socket client = balancer.connect();
    client.send("hello\n");
    (void)client.next(5s);
  }
  for (const char* of : {"backend", "pool", "listener"}) {
    CAPTURE(of);
    const std::string family = std::string("lemonade_") + of + "_errors_total";
    CHECK(eventually([&] { return balancer.metric(family, {"reason=\"" + reason + "\""}) == 3; }));
    CHECK(balancer.metric(family) == 3);
  }
}

TEST_CASE("Percentiles of a backend that takes 20 ms are near 20 ms, and so are those of its pool", "[figures]") {
  Server server(answeringAfter(20ms));
  Balancer balancer(plain().backend("a", server.address()));
  Socket client = balancer.connect();
  for (int i = 0; i < 40; ++i) {
    client.send("ask\n");
    REQUIRE(client.receiveLine() == "done");
  }
  for (const char* what : {"backends", "pools"}) {
    const auto object = first(balancer, what);
    const auto times = object->getObject("exchange_ms");
    CAPTURE(what);
    CHECK(times->getValue<int>("samples") == 40);
    CHECK(times->getValue<double>("p50") >= 20);
    CHECK(times->getValue<double>("p50") < 30);
    CHECK(times->getValue<double>("p99") >= times->getValue<double>("p95"));
    CHECK(object->getValue<double>("exchange_rate") > 0);
    CHECK(object->getValue<double>("error_rate") == 0);
  }
}

TEST_CASE("A strategy that takes long shows in the time of picks and in the lag of a worker", "[figures]") {
  Server server(named("a"));
  const Misfit misfit("slow_pick");
  Balancer balancer(misfit.config().set("proxy.relay", eachRelay()).backend("a", server.address()));
  CHECK(balancer.metric("lemonade_worker_lag_seconds") < 0.1);
  for (int i = 0; i < 3; ++i) CHECK(balancer.ask() == "a");
  const std::vector<std::string> of = {"plugin=\"com.example.misfit\""};
  CHECK(balancer.metric("lemonade_pool_slowest_pick_seconds", of) >= 0.1);
  const double timed = balancer.metric("lemonade_pool_timed_picks_total", of);
  CHECK(timed >= 1);  // the first of a worker is
  CHECK(balancer.metric("lemonade_pool_timed_pick_seconds_total", of) / timed >= 0.1);
  CHECK(balancer.metric("lemonade_worker_lag_seconds") >= 0.1);
  const auto pick = first(balancer, "pools")->getObject("pick_ms");
  CHECK(pick->getValue<double>("mean") >= 100);
  CHECK(pick->getValue<double>("worst") >= 100);
  CHECK(balancer.metric("lemonade_control_lag_seconds") < 1);
}

TEST_CASE("A strategy that is quick shows in the time of picks, too", "[figures]") {
  Server server(named("a"));
  Balancer balancer(plain().backend("a", server.address()));
  for (int i = 0; i < 3; ++i) CHECK(balancer.ask() == "a");
  const double timed = balancer.metric("lemonade_pool_timed_picks_total", {"plugin=\"round_robin\""});
  CHECK(timed >= 1);
  CHECK(timed <= 3);
  CHECK(balancer.metric("lemonade_pool_timed_pick_seconds_total") > 0);
  CHECK(balancer.metric("lemonade_pool_timed_pick_seconds_total") < 0.01);
}

TEST_CASE("The time that a listener or a pool is full is counted while it lasts and then no more", "[figures]") {
  Server server(named("a"));
  const bool of_pool = GENERATE(true, false);
  const std::string family = of_pool ? "lemonade_pool_full_seconds_total" : "lemonade_listener_full_seconds_total";
  CAPTURE(family);
  Balancer balancer(of_pool ? plain().backend("a", server.address(), "max_connections = 1")
                            : plain().set("proxy.max_connections", 1).backend("a", server.address()));
  Socket holder = balancer.connect();
  REQUIRE(holder.receiveLine() == "a");
  REQUIRE(eventually([&] { return balancer.metric(family) > 0; }));
  const double some = balancer.metric(family);
  REQUIRE(eventually([&] { return balancer.metric(family) >= some + 0.5; }));
  holder.close();
  REQUIRE(eventually([&] { return balancer.active("a") == 0; }));
  std::this_thread::sleep_for(300ms);  // the look that may be under way; nothing says that it is over
  const double all = balancer.metric(family);
  std::this_thread::sleep_for(600ms);
  CHECK(balancer.metric(family) == all);
}

TEST_CASE("The configured max_connections stands beside what the descriptor limit leaves of it", "[figures]") {
  Server server(named("a"));
  Balancer balancer(plain().set("proxy.max_connections", 5'000).backend("a", server.address()), {},
                    {"/usr/bin/prlimit", "--nofile=300:300"});
  CHECK(balancer.metric("lemonade_listener_configured_max_connections") == 5'000);
  CHECK(balancer.metric("lemonade_proxy_max_connections") < 150);
  CHECK(first(balancer, "listeners")->getValue<int>("configured_max_connections") == 5'000);
  CHECK(balancer.metric("process_max_fds") == 300);
  const double idle = balancer.metric("process_open_fds");
  CHECK(idle > 5);
  CHECK(idle < 200);
  std::vector<Socket> clients;
  for (int i = 0; i < 10; ++i) {
    clients.push_back(balancer.connect());
    REQUIRE(clients.back().receiveLine() == "a");
  }
  CHECK(balancer.metric("process_open_fds") >= idle + 20);
}

TEST_CASE("The time in the queue is that of a client from its first wait to its connect or to its end", "[figures]") {
  Server server(named("a"));
  Balancer balancer(plain().set("proxy.queue_timeout", "400ms").backend("a", server.address(), "max_connections = 1"));
  Socket holder = balancer.connect();
  REQUIRE(holder.receiveLine() == "a");
  Socket late = balancer.connect();
  CHECK(late.next(5s) == End::kClosed);
  CHECK(balancer.metric("lemonade_pool_queue_seconds_count") == 1);
  CHECK(balancer.metric("lemonade_pool_queue_seconds_sum") >= 0.4);
  Socket next = balancer.connect();
  REQUIRE(eventually([&] { return balancer.metric("lemonade_proxy_queued_sessions") == 1; }));
  holder.close();
  CHECK(next.receiveLine() == "a");
  CHECK(balancer.metric("lemonade_pool_queue_seconds_count") == 2);
  const auto times = first(balancer, "pools")->getObject("queue_ms");
  CHECK(times->getValue<int>("samples") == 2);
  CHECK(times->getValue<double>("p99") >= 300);
}

TEST_CASE("Without an upgrade that failed the last one succeeded", "[figures]") {
  Server server(named("a"));
  Balancer balancer(Config().backend("a", server.address()));
  CHECK(balancer.metric("lemonade_last_upgrade_success") == 1);
}

}  // namespace lemonade::test
