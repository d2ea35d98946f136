// SPDX-License-Identifier: MIT
//
// A backend that fails a part of its clients, or is several times slower than the others, is ejected where the
// configuration asks for it, and no client that is at fault itself brings that about.
#include "support/balancer.h"
#include "support/facts.h"
#include "support/server.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

namespace lemonade::test {
namespace {

/// Answers each line after a while, that of a client which asks for it later.
Server::Handler answersAfter(Millis delay) {
  return [delay](Socket& client) {
    for (std::string line; !(line = client.receiveLine()).empty();) {
      std::this_thread::sleep_for(line.find("slow") != std::string::npos ? 10ms : delay);
      client.send("ok\n");
    }
  };
}

/// Resets every third client.
Server::Handler failsAThird(std::atomic<int>& clients) {
  return [&clients](Socket& client) {
    if (client.receiveLine().empty()) return;
    if (clients++ % 3 == 2) return client.reset();
    client.send("ok\n");
  };
}

/// Whether a client that sends this is answered.
bool ask(Balancer& balancer, const std::string& line = "hello", const std::string& from = "") try {
  Socket client = Socket::connect(balancer.address(), from);
  client.send(line + "\n");
  return !client.receiveLine().empty();
} catch (const ResetError&) {
  return false;
}

Config withOutliers(const std::string& algorithm) {
  return Config()
      .set("strategy.algorithm", algorithm)
      .set("runtime.workers", 1)
      .set("ejection.base_time", "1h")
      .set("ejection.max_time", "1h")
      .raw("ejection.failing_share", "0.1")
      .raw("ejection.slow_factor", "3");
}

}  // namespace

TEST_CASE("A backend that fails a third of its clients is ejected as an outlier", "[ejection][outlier]") {
  std::atomic<int> clients{0};
  Server flaky(failsAThird(clients)), a(answersAfter(0ms)), b(answersAfter(0ms));
  Balancer balancer(withOutliers("round_robin")
                        .backend("flaky", flaky.address())
                        .backend("a", a.address())
                        .backend("b", b.address()));
  REQUIRE(eventually([&] {
    (void)ask(balancer);
    return ejections(balancer) == 1;
  }));
  CHECK(stateOf(balancer, "flaky") == "ejected");
  CHECK(reasonOf(balancer, "flaky").find("stands out: ") == 0);
  for (int i = 0; i < 30; ++i) CHECK(ask(balancer));
}

TEST_CASE("A backend that is several times slower than the others is ejected as an outlier", "[ejection][outlier]") {
  const std::string algorithm = GENERATE("round_robin", "consistent_hash");
  CAPTURE(algorithm);
  Server slow(answersAfter(15ms)), a(answersAfter(2ms)), b(answersAfter(2ms));
  Balancer balancer(
      withOutliers(algorithm).backend("slow", slow.address()).backend("a", a.address()).backend("b", b.address()));
  int clients = 0;
  REQUIRE(eventually([&] {
    CHECK(ask(balancer, "hello", "127.0.0." + std::to_string(2 + clients++ % 250) + ":0"));
    return ejections(balancer) == 1;
  }));
  CHECK(stateOf(balancer, "slow") == "ejected");
  CHECK(reasonOf(balancer, "slow").find("waited longer than") != std::string::npos);
}

TEST_CASE("A client whose requests are slow wherever they go ejects nobody", "[ejection][outlier]") {
  Server a(answersAfter(0ms)), b(answersAfter(0ms)), c(answersAfter(0ms));
  // All of its requests go to one backend, which looks slow for that.
  Balancer balancer(
      withOutliers("consistent_hash").backend("a", a.address()).backend("b", b.address()).backend("c", c.address()));
  for (int i = 0; i < 500; ++i) {
    CHECK(ask(balancer, "slow", "127.0.0.2:0"));
    CHECK(ask(balancer, "hello", "127.0.0." + std::to_string(3 + i % 250) + ":0"));
  }
  CHECK(ejections(balancer) == 0);
}

}  // namespace lemonade::test
