// SPDX-License-Identifier: MIT
//
// Backends of the balancer's own zone go first, for the strategies that are told to, while they are not worse.
#include "e2e/reloading.h"
#include "support/balancer.h"
#include "support/server.h"

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <string>
#include <thread>
#include <vector>

namespace lemonade::test {
namespace {

/// A backend here and one elsewhere, behind a balancer that is here.
Config zoned(const std::string& algorithm, const Server& here, const Server& there) {
  return unwatched()
      .set("runtime.zone", "eu-1a")
      .set("strategy.algorithm", algorithm)
      .set("strategy.options.zone_aware", true)
      .backend("there", there.address(), "zone = \"eu-1b\"")
      .backend("here", here.address(), "zone = \"eu-1a\"");
}

/// Clients that each hold a place at the backend which greeted them.
class Held {
 public:
  explicit Held(Balancer& balancer) : balancer_(balancer) {}
  /// Lets so many more come; who greeted each, in order.
  std::vector<std::string> open(int count) {
    std::vector<std::string> names;
    for (int i = 0; i < count; ++i) {
      sockets_.push_back(balancer_.connect());
      names.push_back(sockets_.back().receiveLine());
    }
    return names;
  }

 private:
  Balancer& balancer_;
  std::vector<Socket> sockets_;
};

std::vector<std::string> times(std::size_t count, const std::string& name) { return {count, name}; }

/// Answers each line after a time that the test may change.
Server::Handler answersAfter(const std::atomic<int>& milliseconds, const std::string& name) {
  return [&milliseconds, name](Socket& client) {
    while (!client.receiveLine().empty()) {
      std::this_thread::sleep_for(Millis(milliseconds.load()));  // what a slow server does, not what the test waits by
      client.send(name + "\n");
    }
  };
}

/// How many of so many clients, one after the other, the backend of this name answered.
int answered(Balancer& balancer, int clients, const std::string& name) {
  int count = 0;
  for (int i = 0; i < clients; ++i) {
    Socket client = balancer.connect();
    client.send("who\n");
    count += client.receiveLine() == name ? 1 : 0;
  }
  return count;
}

}  // namespace

TEST_CASE("least_connections leaves the own zone for each client that would have too many beside it there", "[zones]") {
  Server here(named("here")), there(named("there"));
  Balancer balancer(zoned("least_connections", here, there).set("strategy.options.zone_tolerance", 3));
  Held held(balancer);
  // With the one that comes: 3 here are 3 times 1 elsewhere, 4 are more.
  CHECK(held.open(3) == times(3, "here"));
  CHECK(held.open(1) == times(1, "there"));
  CHECK(held.open(3) == times(3, "here"));  // up to 3 times 2
  CHECK(held.open(1) == times(1, "there"));
}

TEST_CASE("least_connections prefers no zone without zone_aware", "[zones]") {
  Server here(named("here")), there(named("there"));
  Balancer balancer(zoned("least_connections", here, there).set("strategy.options.zone_aware", false));
  Held held(balancer);
  auto names = held.open(6);
  CHECK(std::count(names.begin(), names.end(), "here") == 3);
}

TEST_CASE("Clients leave the own zone where its backend is down, and come back when it is up", "[zones]") {
  const std::string algorithm = GENERATE("least_connections", "adaptive");
  CAPTURE(algorithm);
  Server here(named("here")), there(named("there"));
  Balancer balancer(zoned(algorithm, here, there).realChecks());
  const auto isHere = [&](const std::string& state) {
    return eventually([&] { return balancer.backend("here")->getValue<std::string>("state") == state; });
  };
  REQUIRE(isHere("up"));
  CHECK(balancer.ask() == "here");
  here.stop();
  REQUIRE(isHere("down"));
  for (int i = 0; i < 5; ++i) CHECK(balancer.ask() == "there");
  here.restart();
  REQUIRE(isHere("up"));
  CHECK(eventually([&] { return balancer.ask() == "here"; }));
}

TEST_CASE("A reload of the balancer's zone moves its clients", "[zones][reload]") {
  Server here(named("here")), there(named("there"));
  const auto config = zoned("least_connections", here, there);
  Balancer balancer(config);
  for (int i = 0; i < 3; ++i) CHECK(balancer.ask() == "here");
  reload(balancer, Config(config).set("runtime.zone", "eu-1b"));
  for (int i = 0; i < 3; ++i) CHECK(balancer.ask() == "there");
  reload(balancer, Config(config).set("runtime.zone", ""));  // nobody says where we are: both are as good
  Held held(balancer);
  auto names = held.open(4);
  CHECK(std::count(names.begin(), names.end(), "here") == 2);
}

TEST_CASE("adaptive stays in the own zone while that is as fast, and leaves it while it is slow", "[zones]") {
  std::atomic<int> here_takes{20}, there_takes{20};
  Server here(answersAfter(here_takes, "here")), there(answersAfter(there_takes, "there"));
  Balancer balancer(zoned("adaptive", here, there).set("strategy.options.zone_tolerance", 4));
  CHECK(answered(balancer, 40, "here") >= 35);  // elsewhere is tried until something is known of it
  here_takes = 400;
  CHECK(answered(balancer, 20, "there") >= 15);
}

}  // namespace lemonade::test
