// SPDX-License-Identifier: MIT
//
// Several listeners and pools in one process: each pool with backends, strategy, health, queue and limits of its own.
#include "reloading.h"
#include "support/balancer.h"
#include "support/server.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace lemonade::test {
namespace {

/// A table of a pool with one backend, and lines of its own.
std::string pool(const std::string& name, const Server& server, const std::string& lines = "",
                 const std::string& of_backend = "") {
  return "[pools." + name + "]\n" + lines + "\n[[pools." + name + ".backends]]\nid = \"" + name + "-1\"\naddress = \"" +
         server.address() + "\"\n" + of_backend + "\n";
}

/// The default pool, and a pool and listener of each name.
struct TwoPools {
  Server web{named("web")};
  Server database{named("database")};

  Config config(const std::string& of_database = "", const std::string& of_its_backend = "") const {
    return unwatched()
        .backend("web-1", web.address())
        .listener("db", "db")
        .toml(pool("db", database, of_database, of_its_backend));
  }
};

/// A client that has a place at a backend.
Socket holding(const std::string& address, const std::string& name) {
  Socket client = Socket::connect(address);
  REQUIRE(client.receiveLine() == name);
  return client;
}

}  // namespace

TEST_CASE("Two listeners of one process lead to two pools", "[pools]") {
  const TwoPools pools;
  Balancer balancer(pools.config());
  for (int i = 0; i < 3; ++i) {
    CHECK(balancer.ask("default") == "web");
    CHECK(balancer.ask("db") == "database");
  }
  CHECK(balancer.metric("lemonade_backend_sessions_total", {"pool=\"default\"", "backend=\"web-1\""}) == 3);
  CHECK(balancer.metric("lemonade_backend_sessions_total", {"pool=\"db\"", "backend=\"db-1\""}) == 3);
}

TEST_CASE("Two listeners may lead to one pool", "[pools]") {
  Server server(named("a"));
  Balancer balancer(unwatched().backend("a", server.address()).listener("inside", "default"));
  CHECK(balancer.ask("default") == "a");
  CHECK(balancer.ask("inside") == "a");
}

TEST_CASE("A pool that is full makes nobody wait at another one", "[pools][queue][relayed]") {
  const TwoPools pools;
  Balancer balancer(pools.config("queue_timeout = \"20s\"", "max_connections = 1"));
  Socket holder = holding(balancer.addressOf("db"), "database");
  Socket waiting = Socket::connect(balancer.addressOf("db"));
  CHECK(eventually([&] { return balancer.metric("lemonade_proxy_queued_sessions", {"pool=\"db\""}) == 1; }));
  for (int i = 0; i < 20; ++i) CHECK(balancer.ask("default") == "web");
  CHECK(balancer.metric("lemonade_proxy_queued_sessions", {"pool=\"default\""}) == 0);
  CHECK(waiting.staysOpen(20ms));
  holder.close();
  CHECK(waiting.receiveLine() == "database");
}

TEST_CASE("A place that becomes free in one pool goes to a client of that pool", "[pools][queue][relayed]") {
  const TwoPools pools;
  const int workers = GENERATE(1, 4);
  CAPTURE(workers);
  Config config = pools.config("", "max_connections = 1").set("runtime.workers", workers);
  Server third(named("third"));
  config.listener("other", "other").toml(pool("other", third, "", "max_connections = 1"));
  Balancer balancer(config);
  Socket in_db = holding(balancer.addressOf("db"), "database");
  Socket in_other = holding(balancer.addressOf("other"), "third");
  Socket for_db = Socket::connect(balancer.addressOf("db"));
  Socket for_other = Socket::connect(balancer.addressOf("other"));
  REQUIRE(eventually([&] { return balancer.metric("lemonade_proxy_queued_sessions") == 2; }));
  in_other.close();
  CHECK(for_other.receiveLine() == "third");
  CHECK(for_db.staysOpen(50ms));
  in_db.close();
  CHECK(for_db.receiveLine() == "database");
}

TEST_CASE("A listener that has all the clients it takes leaves the other listeners open", "[pools][limits][relayed]") {
  Server server(named("a"));
  Balancer balancer(unwatched().backend("a", server.address()).listener("small", "default", "max_connections = 1"));
  Socket holder = holding(balancer.addressOf("small"), "a");
  Socket waiting = Socket::connect(balancer.addressOf("small"));
  for (int i = 0; i < 20; ++i) CHECK(balancer.ask("default") == "a");
  CHECK(waiting.staysOpen(20ms));
  holder.close();
  CHECK(waiting.receiveLine() == "a");
}

TEST_CASE("A pool whose backend never answers a connect delays no other", "[pools]") {
  Server web(named("web"));
  BlackHole hole;
  Balancer balancer(unwatched()
                        .backend("web-1", web.address())
                        .listener("db", "db")
                        .toml("[pools.db]\nconnect_timeout = \"20s\"\nbackends = [\"" + hole.address() + "\"]\n"));
  std::vector<Socket> stuck;
  for (int i = 0; i < 10; ++i) stuck.push_back(Socket::connect(balancer.addressOf("db")));
  for (int i = 0; i < 20; ++i) CHECK(balancer.ask("default") == "web");
}

TEST_CASE("Each pool is checked by its own checker, and one that is down says so alone", "[pools][health]") {
  Server web(named("web"));
  const RefusingPort closed;
  Balancer balancer(unwatched()
                        .backend("web-1", web.address())
                        .listener("db", "db")
                        .toml("[pools.db]\nbackends = [\"" + closed.address() +
                              "\"]\n[pools.db.health]\nchecker = \"tcp\"\ninterval = \"50ms\"\nfall = 1\n"));
  CHECK(eventually([&] { return balancer.metric("lemonade_backend_up", {"pool=\"db\""}) == 0; }));
  CHECK(balancer.metric("lemonade_backend_up", {"pool=\"default\""}) == 1);
  CHECK(balancer.ask("db").empty());
  CHECK(balancer.ask("default") == "web");
}

TEST_CASE("A reload brings a pool with its listener and takes it away again", "[pools][reload]") {
  const TwoPools pools;
  const Config alone = unwatched().backend("web-1", pools.web.address());
  Balancer balancer(alone);
  Socket stays = holding(balancer.addressOf("default"), "web");
  reload(balancer, pools.config());
  CHECK(balancer.ask("db") == "database");
  const std::string gone = balancer.addressOf("db");
  reload(balancer, alone);
  CHECK_THROWS_AS(Socket::connect(gone), ResetError);
  CHECK(balancer.ask("default") == "web");
  CHECK(stays.staysOpen(20ms));
}

TEST_CASE("A reload leads a listener to another pool, and its sessions stay where they are", "[pools][reload]") {
  const TwoPools pools;
  Server other(named("other"));
  Config config = pools.config();
  Balancer balancer(config);
  Socket before = holding(balancer.addressOf("db"), "database");
  const Config moved = unwatched()
                           .backend("web-1", pools.web.address())
                           .listener("db", "other")
                           .toml(pool("db", pools.database))
                           .toml(pool("other", other));
  reload(balancer, moved);
  CHECK(balancer.ask("db") == "other");
  CHECK(before.staysOpen(20ms));
}

TEST_CASE("A reload that cannot have one listener changes no pool", "[pools][reload]") {
  const TwoPools pools;
  Balancer balancer(pools.config());
  const Server taken(named("taken"));
  Server other(named("other"));
  Config config = unwatched().backend("web-1", other.address()).listener("db", "db").toml(pool("db", pools.database));
  config.toml("[[listeners]]\nname = \"more\"\naddress = \"" + taken.address() + "\"\n");
  write(balancer, config);
  const auto answer = requestReload(balancer);
  CHECK(answer.status == 422);
  CHECK(contains(answer.body, taken.address()));
  CHECK(balancer.ask("default") == "web");
  CHECK(balancer.ask("db") == "database");
}

TEST_CASE("A template stands for many backends", "[pools]") {
  Server a(named("a"));
  const std::string port = std::to_string(portOf(a.address()));
  Balancer balancer(unwatched()
                        .listener("many", "many")
                        .backend("a", a.address())
                        .toml("[pools.many]\nbackends = [\"127.0.0.[1-4]:" + port + "\"]\n"));
  const auto backends = balancer.status()->getArray("backends");
  unsigned many = 0;
  for (unsigned i = 0; i < backends->size(); ++i)
    if (backends->getObject(i)->getValue<std::string>("pool") == "many") ++many;
  CHECK(many == 4);
}

}  // namespace lemonade::test
