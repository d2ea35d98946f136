// SPDX-License-Identifier: MIT
//
// The examples of plugin-api/examples at work in the real balancer: the strategies in front of real servers, the
// checker against a real Redis.
#include "e2e/reloading.h"
#include "support/redis.h"
#include "support/server.h"

#include <signal.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <vector>

namespace lemonade::test {
namespace {

/// A configuration that sees the examples.
Config exampled() {
  return unwatched().raw("plugins.directories",
                         "[\"" + testPluginFolder() + "\", \"" + std::string(LEMONADE_EXAMPLES_FOLDER) + "\"]");
}

/// Three servers that greet with their names.
struct Three {
  Server a{named("a")}, b{named("b")}, c{named("c")};

  Config behind(const Config& config, const std::string& of_b = "", const std::string& of_c = "") const {
    return Config(config).backend("a", a.address()).backend("b", b.address(), of_b).backend("c", c.address(), of_c);
  }
};

/// Sessions that stay open.
class Held {
 public:
  explicit Held(Balancer& balancer) : balancer_(balancer) {}
  /// Opens one from an address of this machine; who greets.
  std::string open(const std::string& from = "") {
    sockets_.push_back(Socket::connect(balancer_.address(), from));
    return sockets_.back().receiveLine();
  }
  void closeFirst() { sockets_.erase(sockets_.begin()); }

 private:
  Balancer& balancer_;
  std::vector<Socket> sockets_;
};

/// Whom each of so many client addresses is given.
std::string answers(Balancer& balancer, int clients) {
  std::string names;
  for (int i = 1; i <= clients; ++i)
    names += Socket::connect(balancer.address(), "127.0.1." + std::to_string(i) + ":0").receiveLine();
  return names;
}

Config redisChecked(const Redis& redis, const std::string& options) {
  return exampled()
      .realChecks()
      .set("health.checker", "com.example.redis_ping")
      .set("health.interval", "50ms")
      .set("health.timeout", "500ms")
      .raw("health.options", options)
      .backend("a", redis.address());
}

/// Waits until the backend is up or down; why.
std::string reasonOnce(Balancer& balancer, const std::string& state) {
  Poco::JSON::Object::Ptr backend;
  const bool came =
      eventually([&] { return (backend = balancer.backend("a"))->getValue<std::string>("state") == state; }, 20s);
  return came ? backend->optValue<std::string>("reason", "") : "it is not " + state;
}

}  // namespace

TEST_CASE("The C strategy fills one backend after the other and then takes the emptiest", "[examples]") {
  const Three three;
  Balancer balancer(three.behind(
      exampled().set("strategy.algorithm", "com.example.fill_first").raw("strategy.options", "{sessions = 2}"),
      "weight = 2"));
  Held held(balancer);
  std::string order;
  for (int i = 0; i < 8; ++i) order += held.open();
  CHECK(order == "aabbbbcc");
  CHECK(held.open() == "a");  // all are full, and all alike for their weight
  held.closeFirst();
  held.closeFirst();
  REQUIRE(eventually([&] { return balancer.active("a") == 1; }));
  CHECK(held.open() == "a");
}

TEST_CASE("The Maglev example brings a client to the same backend and moves hardly any when one leaves", "[examples]") {
  const Three three;
  const auto config =
      exampled().set("strategy.algorithm", "com.example.maglev").raw("strategy.options", "{load_factor = 100}");
  Balancer balancer(three.behind(config));
  const auto before = answers(balancer, 40);
  CHECK(answers(balancer, 40) == before);
  for (const char name : {'a', 'b', 'c'}) CHECK(std::count(before.begin(), before.end(), name) >= 2);
  reload(balancer, three.behind(config, "enabled = false"));
  const auto after = answers(balancer, 40);
  CHECK(std::count(after.begin(), after.end(), 'b') == 0);
  int moved = 0;
  for (std::size_t i = 0; i < before.size(); ++i) moved += before[i] != 'b' && after[i] != before[i] ? 1 : 0;
  CHECK(moved <= 2);  // only those of b had to
}

TEST_CASE("The Maglev example bounds what one client can bring upon a backend", "[examples]") {
  const Three three;
  Balancer balancer(three.behind(exampled().set("strategy.algorithm", "com.example.maglev")));
  Held held(balancer);
  std::string order;
  for (int i = 0; i < 24; ++i) order += held.open("127.0.1.1:0");
  for (const char name : {'a', 'b', 'c'}) {
    const auto sessions = std::count(order.begin(), order.end(), name);
    CHECK(sessions >= 4);
    CHECK(sessions <= 10);  // 1.25 * 24 / 3
  }
}

TEST_CASE("The read-write example sends writes to the primary and shares out reads by its option", "[examples]") {
  Three servers;
  const std::string primary = "labels = { role = \"primary\" }\noptions = { read_share = 0 }";
  const auto config = [&](const std::string& of_b, const std::string& of_c) {
    return servers.behind(exampled().set("strategy.algorithm", "com.example.read_write"), of_b, of_c)
        .listener("write", "default");
  };
  Balancer balancer(config(primary, "options = { read_share = 3 }").realChecks());
  REQUIRE(eventually([&] { return balancer.metric("lemonade_backend_up") == 3; }));
  for (int i = 0; i < 5; ++i) CHECK(balancer.ask("write") == "b");
  std::string reads;
  for (int i = 0; i < 60; ++i) reads += balancer.ask("default");
  CHECK(std::count(reads.begin(), reads.end(), 'b') == 0);
  CHECK(std::count(reads.begin(), reads.end(), 'a') > 0);
  CHECK(std::count(reads.begin(), reads.end(), 'c') > 30);  // of 45 that are expected

  servers.b.stop();
  CHECK(eventually([&] { return balancer.ask("write").empty(); }));  // no other takes writes
  reload(balancer, config("", primary).realChecks());                // another one is the primary from now on
  CHECK(balancer.ask("write") == "c");
}

TEST_CASE("The Redis example follows a real server and says what that answers instead of PONG", "[examples]") {
  Redis redis;
  const std::string password = "se cret\"\r\n$1";
  Balancer open(redisChecked(redis, "{}"));
  CHECK(reasonOnce(open, "up").empty());
  CHECK(redis.cli({"config", "set", "requirepass", password}) == "OK\n");
  CHECK(reasonOnce(open, "down") == "answered \"-NOAUTH Authentication required.\"");

  Balancer known(redisChecked(redis, R"({password = "se cret\"\r\n$1"})"));
  CHECK(reasonOnce(known, "up").empty());
  Balancer wrong(redisChecked(redis, "{password = \"guess\"}"));
  CHECK(reasonOnce(wrong, "down").find("answered \"-WRONGPASS") == 0);
  CHECK(redis.cli({"-a", password, "acl", "setuser", "probe", "on", ">word", "+ping"}).find("OK") == 0);
  Balancer user(redisChecked(redis, "{username = \"probe\", password = \"word\"}"));
  CHECK(reasonOnce(user, "up").empty());

  redis.process().signal(SIGSTOP);
  CHECK(reasonOnce(known, "down").find("timed out") == 0);
  redis.process().signal(SIGCONT);
  CHECK(reasonOnce(known, "up").empty());
}

TEST_CASE("The Redis example takes nothing but Redis for alive", "[examples]") {
  Server web([](Socket& client) {
    client.receiveLine();
    client.send("HTTP/1.1 400 Bad Request\r\n\r\n");
    client.receiveAll();
  });
  Balancer balancer(
      exampled().realChecks().set("health.checker", "com.example.redis_ping").backend("a", web.address()));
  CHECK(reasonOnce(balancer, "down") == "answered \"HTTP/1.1 400 Bad Request\"");
}

}  // namespace lemonade::test
