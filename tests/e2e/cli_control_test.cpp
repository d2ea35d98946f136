// SPDX-License-Identifier: MIT
//
// The commands that change a backend, and those that tell what has happened, as a shell runs them.
#include "e2e/reloading.h"
#include "support/balancer.h"
#include "support/facts.h"
#include "support/server.h"

#include <Poco/JSON/Array.h>
#include <Poco/JSON/Parser.h>
#include <signal.h>

#include <catch2/catch.hpp>
#include <memory>
#include <string>

namespace lemonade::test {
namespace {

using Poco::JSON::Object;

Outcome operateOn(Balancer& balancer, Arguments arguments) {
  arguments.insert(arguments.end(), {"--admin", balancer.adminAddress()});
  return run(lemonade(arguments));
}

Object::Ptr objectOf(const std::string& text) { return Poco::JSON::Parser().parse(text).extract<Object::Ptr>(); }

/// A pool web with the backend w1, and a default one with a1 and twin; db has a twin, too.
Config threePools(const std::string& address) {
  const auto pool = [&](const std::string& name, const std::string& id) {
    return "[pools." + name + "]\n[[pools." + name + ".backends]]\nid = \"" + id + "\"\naddress = \"" + address +
           "\"\n";
  };
  return unwatched()
      .backend("a1", address)
      .backend("twin", "127.0.0.1:1")
      .listener("web", "web")
      .listener("db", "db")
      .toml(pool("web", "w1") + pool("db", "twin"));
}

}  // namespace

TEST_CASE("Drain and enable and weight change a backend and say until when", "[cli]") {
  Server server(named("a"));
  Balancer balancer(threePools(server.address()));
  const auto drained = operateOn(balancer, {"drain", "web/w1", "--for", "10m"});
  INFO(drained.out << drained.err);
  CHECK(drained.code == 0);
  CHECK(contains(drained.out, "w1"));
  CHECK(contains(drained.out, "10m"));
  CHECK(stateOf(balancer, "w1") == "draining");
  const auto listed = operateOn(balancer, {"backends", "web"});
  CHECK(contains(listed.out, "web/w1"));
  CHECK(contains(listed.out, "drain until 20"));
  CHECK_FALSE(contains(listed.out, "default/a1"));
  CHECK(operateOn(balancer, {"enable", "w1"}).code == 0);  // one pool alone has it
  CHECK(stateOf(balancer, "w1") == "up");
  const auto weighted = operateOn(balancer, {"weight", "default/a1", "5", "--persist", "--json"});
  CHECK(weighted.code == 0);
  const auto change = objectOf(weighted.out);
  CHECK(change->getValue<int>("weight") == 5);
  CHECK(change->getObject("persist")->getValue<std::string>("line") == "weight = 5");
  CHECK(contains(operateOn(balancer, {"disable", "a1", "--persist"}).out, "enabled = false"));
  CHECK(operateOn(balancer, {"max_connections", "a1", "7"}).code == 0);
  CHECK(balancer.backend("a1")->getValue<int>("max_connections") == 7);
}

TEST_CASE("A backend that is unknown or several is answered with those that there are", "[cli]") {
  Server server(named("a"));
  Balancer balancer(threePools(server.address()));
  const auto unknown = operateOn(balancer, {"drain", "w2"});
  CHECK(unknown.code == 1);
  CHECK(contains(unknown.err, "web/w1"));
  const auto in_pool = operateOn(balancer, {"drain", "web/w2"});
  CHECK(in_pool.code == 1);
  CHECK(contains(in_pool.err, "w1"));
  const auto several = operateOn(balancer, {"drain", "twin"});
  CHECK(several.code == 1);
  CHECK(contains(several.err, "default/twin"));
  CHECK(contains(several.err, "db/twin"));
  const auto value = operateOn(balancer, {"weight", "w1", "70000"});
  CHECK(value.code == 1);
  CHECK(contains(value.err, "65535"));
  const auto pool = operateOn(balancer, {"backends", "wab"});
  CHECK(pool.code == 1);
  CHECK(contains(pool.err, "web"));
}

TEST_CASE("Plugins are shown with their files", "[cli]") {
  Server server(named("a"));
  Balancer balancer(unwatched().backend("a", server.address()));
  const auto outcome = operateOn(balancer, {"plugins"});
  CHECK(outcome.code == 0);
  CHECK(contains(outcome.out, "round_robin"));
  CHECK(contains(outcome.out, ".so"));
  CHECK(objectOf(operateOn(balancer, {"plugins", "--json"}).out)->getArray("plugins")->size() >= 2);
}

TEST_CASE("Events are shown and followed as they happen", "[cli]") {
  Server server(named("a"));
  Balancer balancer(unwatched().backend("a", server.address()));
  const auto listed = operateOn(balancer, {"events", "--limit", "5"});
  CHECK(listed.code == 0);
  CHECK(contains(listed.out, "started"));
  CHECK(objectOf(operateOn(balancer, {"events", "--json"}).out)->getArray("events")->size() >= 1);
  Process follower(lemonade({"events", "--follow", "--admin", balancer.adminAddress()}));
  REQUIRE(eventually([&] { return contains(follower.out(), "started"); }));
  REQUIRE(operateOn(balancer, {"drain", "a"}).code == 0);
  CHECK(eventually([&] { return contains(follower.out(), "override_set"); }));
  Process json(lemonade({"events", "--follow", "--json", "--admin", balancer.adminAddress()}));
  CHECK(eventually([&] { return contains(json.out(), "override_set"); }));
  CHECK(objectOf(json.out().substr(0, json.out().find('\n')))->has("kind"));
  follower.signal(SIGINT);
  CHECK(follower.wait() == 128 + SIGINT);
  json.signal(SIGTERM);
  CHECK(json.wait() == 128 + SIGTERM);
}

TEST_CASE("Who follows events goes on with the next process after an end", "[cli]") {
  Server server(named("a"));
  const TemporaryFolder folder;
  const auto socket = (folder.path() / "admin.sock").string();
  const auto config = unwatched().set("admin.socket", socket).backend("a", server.address());
  auto first = std::make_unique<Balancer>(config);
  Process follower(lemonade({"events", "--follow", "--admin", socket}));
  REQUIRE(eventually([&] { return contains(follower.out(), "started"); }));
  const auto size = follower.out().size();
  first.reset();
  (void)follower.waitForLog("asking again");
  Balancer second(config);
  CHECK(eventually([&] { return contains(follower.out().substr(size), "  started"); }));
}

}  // namespace lemonade::test
