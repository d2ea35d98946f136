// SPDX-License-Identifier: MIT
//
// What a process knows of the one whose place it took at an upgrade.
#include "e2e/reloading.h"
#include "e2e/supervised.h"
#include "support/facts.h"
#include "support/server.h"

#include <catch2/catch.hpp>

#include <filesystem>

using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace lemonade::test {

namespace {

/// Sends a word and has it back, so often.
void converse(Socket& client, int times) {
  for (int i = 0; i < times; ++i) {
    client.send("word");
    REQUIRE(client.receive(4) == "word");
  }
}

/// Three backends that a strategy takes in turn, whose file is replaced.
class Turn {
 public:
  explicit Turn(const std::string& version) { put(version); }
  void put(const std::string& version) const {
    const fs::path beside = folder_.path() / "next";
    fs::copy_file(fs::path(LEMONADE_SWAPPED_FOLDER) / (version + ".so"), beside);
    fs::rename(beside, folder_.path() / "turn.so");
  }
  Config config() const {
    return unwatched()
        .set("runtime.supervisor", "on")
        .raw("plugins.directories", "[\"" + folder_.path().string() + "\", \"" + testPluginFolder() + "\"]")
        .set("strategy.algorithm", "com.example.turn")
        .backend("a", a_.address())
        .backend("b", b_.address())
        .backend("c", c_.address());
  }

 private:
  TemporaryFolder folder_;
  Server a_{named("a")}, b_{named("b")}, c_{named("c")};
};

/// An upgrade after which nobody but the new process can accept a client. No session may be open.
void upgradeAndAwaitEnd(Balancer& balancer) {
  const auto before = std::to_string(servingPid(balancer));
  upgrade(balancer);
  balancer.process().waitForLog("app: stopped pid=" + before);
}

double sessions(Balancer& balancer) { return balancer.metric("lemonade_backend_sessions_total"); }

}  // namespace

TEST_CASE("Counters go on over upgrades and what the process before still counts is added", "[upgrade][succession]") {
  Server server(echo());
  Balancer balancer(supervised().set("runtime.drain_timeout_millis", 60'000).backend("a", server.address()),
                    kSupervised);
  Socket stays = balancer.connect();
  converse(stays, 3);
  for (int i = 0; i < 4; ++i) {
    Socket visitor = balancer.connect();
    converse(visitor, 1);
  }
  REQUIRE(eventually([&] { return sessions(balancer) == 5; }));
  const double bytes = balancer.metric("lemonade_backend_bytes_total", {"direction=\"in\""});
  CHECK(bytes == 28);

  upgrade(balancer);
  CHECK(sessions(balancer) == 5);
  CHECK(balancer.metric("lemonade_proxy_accepted_total") == 5);
  CHECK(balancer.metric("lemonade_backend_bytes_total", {"direction=\"in\""}) == bytes);
  CHECK(balancer.metric("lemonade_backend_exchange_seconds_count") == 7);
  CHECK(balancer.metric("lemonade_upgrades_total", {"result=\"completed\""}) == 1);
  CHECK(balancer.metric("lemonade_draining_processes") == 1);
  CHECK(balancer.metric("lemonade_draining_sessions") == 1);
  CHECK(balancer.backend("a")->getObject("totals")->getValue<int>("sessions") == 5);
  CHECK(generation(balancer) == 2);

  Socket visitor = balancer.connect();
  converse(visitor, 1);
  converse(stays, 10);  // at the process that drains
  CHECK(
      eventually([&] { return balancer.metric("lemonade_backend_bytes_total", {"direction=\"in\""}) == bytes + 44; }));
  upgrade(balancer);
  CHECK(balancer.metric("lemonade_backend_bytes_total", {"direction=\"in\""}) == bytes + 44);
  CHECK(balancer.metric("lemonade_draining_processes") == 2);
  stays.close();
  visitor.close();
  CHECK(eventually([&] { return balancer.metric("lemonade_draining_processes") == 0; }));
  CHECK(balancer.metric("lemonade_draining_sessions") == 0);
  CHECK(sessions(balancer) == 6);
}

TEST_CASE("No counter goes back in an upgrade under load", "[upgrade][succession]") {
  Server server(named("a"));
  Balancer balancer(supervised().backend("a", server.address()), kSupervised);
  double seen = 0;
  for (int i = 0; i < 3; ++i) {
    const pid_t before = servingPid(balancer);
    balancer.process().signal(SIGUSR2);
    while (servingPid(balancer) == before) {
      for (int n = 0; n < 20; ++n) CHECK(balancer.ask() == "a");
      const double now = balancer.metric("lemonade_proxy_accepted_total");
      CHECK(now >= seen);
      seen = now;
    }
    CHECK(balancer.metric("lemonade_proxy_accepted_total") >= seen);
  }
}

TEST_CASE("A backend that is down stays down over an upgrade without a new check", "[upgrade][succession]") {
  Server good(echo());
  RefusingPort down;
  Balancer balancer(supervised().realChecks().backend("good", good.address()).backend("down", down.address()),
                    kSupervised);
  REQUIRE(eventually([&] { return balancer.backend("down")->getValue<std::string>("state") == "down"; }));
  const auto since = balancer.backend("down")->getValue<std::string>("since");
  const auto from = balancer.process().logSize();
  upgrade(balancer);
  CHECK(balancer.backend("down")->getValue<std::string>("state") == "down");
  CHECK(balancer.backend("down")->getValue<std::string>("since") == since);
  CHECK(field(balancer.process().waitForLog("took over what the process before knew", 10s, from), "backends") == "2");
  CHECK(balancer.process().countLog("backend is down", 1) == 1);
}

TEST_CASE("A backend that is ejected stays so over an upgrade", "[upgrade][succession]") {
  Server good(named("a"));
  RefusingPort broken;
  Balancer balancer(supervised()
                        .set("health.checker", "none")
                        .set("ejection.base_time", "1h")
                        .set("ejection.max_time", "1h")
                        .backend("good", good.address())
                        .backend("broken", broken.address()),
                    kSupervised);
  const auto state = [&] { return balancer.backend("broken")->getValue<std::string>("state"); };
  REQUIRE(eventually([&] { return balancer.ask() == "a" && state() == "ejected"; }));
  const auto reason = balancer.backend("broken")->getValue<std::string>("reason");
  const double retries = balancer.metric("lemonade_proxy_retries_total");
  upgrade(balancer);
  CHECK(state() == "ejected");
  CHECK(balancer.backend("broken")->getValue<std::string>("reason") == reason);
  CHECK(balancer.metric("lemonade_health_ejections_total") == 1);
  for (int i = 0; i < 10; ++i) CHECK(balancer.ask() == "a");
  CHECK(balancer.metric("lemonade_proxy_retries_total") == retries);
}

TEST_CASE("The state of the strategy travels with an upgrade", "[upgrade][succession]") {
  const Turn turn("turn_1");
  Balancer balancer(turn.config(), kSupervised);
  std::string answers;
  for (int i = 0; i < 8; ++i) {
    if (i == 4 || i == 5) upgradeAndAwaitEnd(balancer);
    answers += balancer.ask();
  }
  CHECK(answers == "abcabcab");
}

TEST_CASE("An upgrade goes on without a state that the strategy refuses or does not know", "[upgrade][succession]") {
  const std::string next = GENERATE("turn_refusing", "turn_other");
  CAPTURE(next);
  const Turn turn("turn_1");
  Balancer balancer(turn.config(), kSupervised);
  CHECK(balancer.ask() == "a");
  turn.put(next);
  upgradeAndAwaitEnd(balancer);
  CHECK(balancer.ask() == "a");
  if (next == "turn_refusing")
    CHECK_THAT(balancer.process().waitForLog("starts without the state of the process before"),
               Catch::Contains("this state does not add up"));
  CHECK(strategy(balancer)->getValue<std::string>("version") == (next == "turn_other" ? "3.0.0" : "4.0.0"));
}

TEST_CASE("An upgrade needs no grace", "[upgrade]") {
  Server server(named("a"));
  Balancer balancer(supervised().set("runtime.grace_millis", 50'000).backend("a", server.address()), kSupervised);
  upgrade(balancer);
  waitUntilStopped(balancer.process());
  CHECK(balancer.ask() == "a");
  balancer.process().signal(SIGTERM);
  balancer.process().waitForLog("/readyz answers 503");
  balancer.process().signal(SIGTERM);
  CHECK(balancer.process().wait() == 0);
}

}  // namespace lemonade::test
