// SPDX-License-Identifier: MIT
//
// What is known of a backend whose id and address stay survives reloads and swaps: health, averages, counters.
#include "e2e/reloading.h"
#include "support/facts.h"
#include "support/server.h"

#include <Poco/JSON/Stringifier.h>

#include <catch2/catch.hpp>
#include <sstream>
#include <thread>

namespace lemonade::test {
namespace {

namespace fs = std::filesystem;

/// Everything that the status says of a backend but its rates, which depend on when it is asked.
std::string known(Balancer& balancer, const std::string& id) {
  auto backend = balancer.backend(id);
  for (const char* key : {"connect_rate", "exchange_rate", "error_rate", "error_share", "weight"}) backend->remove(key);
  std::ostringstream text;
  backend->stringify(text);
  return text.str();
}

void place(const TemporaryFolder& folder, const std::string& version) {
  const fs::path beside = folder.path() / "new";
  fs::copy_file(fs::path(LEMONADE_SWAPPED_FOLDER) / (version + ".so"), beside);
  fs::rename(beside, folder.path() / "always.so");
}

}  // namespace

TEST_CASE("Health and times and counters of a backend survive reloads and swaps", "[reload][swap]") {
  Server a(echo());
  RefusingPort dead;
  const TemporaryFolder folder;
  place(folder, "always_first");
  Config config = unwatched().realChecks();
  config.raw("plugins.directories", "[\"" + folder.path().string() + "\", \"" + testPluginFolder() + "\"]")
      .set("strategy.algorithm", "com.example.always");
  const auto with = [&](int weight) {
    return Config(config)
        .backend("a", a.address(), "weight = " + std::to_string(weight))
        .backend("dead", dead.address());
  };
  Balancer balancer(with(1));
  REQUIRE(eventually([&] { return balancer.backend("dead")->getValue<std::string>("state") == "down"; }));
  for (int i = 0; i < 5; ++i) {
    Socket client = balancer.connect();
    for (int exchange = 0; exchange < 4; ++exchange) {
      client.send("hello");
      REQUIRE(client.receive(5) == "hello");
    }
  }
  REQUIRE(eventually([&] { return balancer.active("a") == 0; }));
  const std::string of_a = known(balancer, "a"), of_dead = known(balancer, "dead");
  INFO(of_a);
  REQUIRE(contains(of_a, "\"sessions\":5"));
  REQUIRE(contains(of_a, "\"exchanges\":20"));
  REQUIRE(contains(of_a, "\"samples\":20"));
  const auto sum = [&] { return balancer.metric("lemonade_backend_exchange_seconds_sum", {"backend=\"a\""}); };
  const double seconds = sum();

  SECTION("a reload") { reload(balancer, with(7)); }
  SECTION("a swap") {
    place(folder, "always_last");
    CHECK(contains(requestReload(balancer).body, "new code, version 2.0.0"));
  }
  SECTION("another strategy and other sinks and workers") {
    reload(balancer, with(3)
                         .set("strategy.algorithm", "fastest_response_time")
                         .raw("metrics.sinks", "[\"log\", \"prometheus\"]")
                         .set("runtime.workers", 3));
  }
  CHECK(generation(balancer) == 2);
  CHECK(known(balancer, "a") == of_a);
  CHECK(known(balancer, "dead") == of_dead);
  CHECK(sum() == seconds);
  CHECK(balancer.process().countLog("backend is down", 1) == 1);
}

TEST_CASE("A strategy that replaces another starts warm from the live numbers of the backends", "[reload][swap]") {
  const auto answersAfter = [](Millis delay, const char* name) {
    return [delay, name](Socket& client) {
      (void)client.receiveLine();
      std::this_thread::sleep_for(delay);  // what a slow server does, not what the test waits by
      client.send(std::string(name) + "\n");
    };
  };
  Server fast(answersAfter(0ms, "fast")), slow(answersAfter(100ms, "slow"));
  const auto config =
      unwatched().set("runtime.workers", 1).backend("fast", fast.address()).backend("slow", slow.address());
  Balancer balancer(config);
  const auto ask = [&] {
    Socket client = balancer.connect();
    client.send("hello\n");
    return client.receiveLine();
  };
  int of_slow = 0;
  for (int i = 0; i < 6; ++i) of_slow += ask() == "slow";
  REQUIRE(of_slow == 3);
  reload(balancer, Config(config).set("strategy.algorithm", "fastest_response_time"));
  for (int i = 0; i < 10; ++i) CHECK(ask() == "fast");
}

TEST_CASE("A slow start goes on over a reload and a swap", "[reload][swap]") {
  Server a(named("a")), b(named("b"));
  const auto config = unwatched()
                          .realChecks()
                          .set("strategy.algorithm", "weighted_round_robin")
                          .set("health.slow_start", "1h")
                          .backend("a", a.address())
                          .backend("b", b.address());
  Balancer balancer(config);
  REQUIRE(eventually([&] { return b.accepted() >= 1; }));
  b.stop();
  waitForState(balancer, "b", "down");
  b.restart();
  waitForState(balancer, "b", "up");
  reload(balancer, Config(config).set("proxy.retries", 5));
  reload(balancer, Config(config).set("strategy.algorithm", "least_connections"));
  reload(balancer, config);
  REQUIRE(eventually([&] { return balancer.ask() == "b"; }));
  int of_b = 0;
  for (int i = 0; i < 110; ++i) of_b += balancer.ask() == "b";
  CHECK(of_b >= 9);
  CHECK(of_b <= 11);
}

}  // namespace lemonade::test
