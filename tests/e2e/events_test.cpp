// SPDX-License-Identifier: MIT
//
// The timeline of what has happened, the reloads of late, and the parts of the status, as the admin API has them.
#include "e2e/controls.h"
#include "e2e/reloading.h"
#include "e2e/supervised.h"
#include "support/facts.h"
#include "support/server.h"

#include <catch2/catch.hpp>

#include <fstream>
#include <iterator>
#include <thread>
#include <utility>
#include <vector>

using Catch::Contains;

namespace lemonade::test {
namespace {

std::string textOf(const Poco::JSON::Object::Ptr& event) { return event->getValue<std::string>("text"); }

std::string next(Balancer& balancer) {
  return std::to_string(events(balancer, "limit=1")->getValue<Poco::UInt64>("next"));
}

}  // namespace

TEST_CASE("The timeline tells of the start and of backends that go and come back", "[events]") {
  Server server(named("a"));
  Balancer balancer(
      unwatched().realChecks().set("health.fall", 1).set("health.rise", 1).backend("a", server.address()));
  REQUIRE(eventsOf(balancer, "started").size() == 1);
  CHECK(eventsOf(balancer, "started")[0]->getObject("fields")->getValue<std::string>("pid") ==
        std::to_string(servingPid(balancer)));
  CHECK(countOf(balancer, "ready") == 1);
  server.stop();
  waitForState(balancer, "a", "down");
  REQUIRE(eventually([&] { return countOf(balancer, "pool_down") == 1; }));
  REQUIRE(countOf(balancer, "backend_down") == 1);
  const auto down = eventsOf(balancer, "backend_down")[0];
  CHECK(down->getValue<std::string>("pool") == "default");
  CHECK(down->getValue<std::string>("backend") == "a");
  CHECK_THAT(textOf(down), Contains("a is down: "));
  CHECK(down->getObject("fields")->getValue<std::string>("address") == server.address());
  server.restart();
  waitForState(balancer, "a", "up");
  CHECK(eventually([&] { return countOf(balancer, "backend_up") == 1 && countOf(balancer, "pool_up") == 1; }));
}

TEST_CASE("The timeline tells of ejections and their ends", "[events]") {
  RefusingPort dead;
  Server server(named("b"));
  Balancer balancer(unwatched()
                        .set("ejection.base_time", "300ms")
                        .set("ejection.consecutive_failures", 1)
                        .backend("a", dead.address())
                        .backend("b", server.address()));
  for (int i = 0; i < 2; ++i) CHECK(balancer.ask() == "b");
  REQUIRE(eventually([&] { return countOf(balancer, "backend_returned") >= 1; }));
  CHECK_THAT(textOf(eventsOf(balancer, "backend_ejected")[0]), Contains("a is ejected: "));
  CHECK(textOf(eventsOf(balancer, "backend_returned")[0]) == "a is back from ejection");
}

TEST_CASE("The timeline tells of reloads with what is wrong or who asked", "[events]") {
  Server server(named("a"));
  Balancer balancer(unwatched().backend("a", server.address()));
  reload(balancer, unwatched().set("proxy.retries", 3).backend("a", server.address()));
  write(balancer, unwatched().set("proxy.retries", -1).backend("a", server.address()));
  CHECK(requestReload(balancer).status == 422);
  REQUIRE(countOf(balancer, "reload_applied") == 1);
  REQUIRE(countOf(balancer, "reload_refused") == 1);
  const auto applied = eventsOf(balancer, "reload_applied")[0]->getObject("fields");
  CHECK(applied->getValue<std::string>("lines") == "proxy.retries 2 -> 3");
  CHECK_THAT(applied->getValue<std::string>("by"), Catch::StartsWith("127.0.0.1:"));
  CHECK_THAT(textOf(eventsOf(balancer, "reload_refused")[0]), Contains("refused") && Contains("proxy.retries is -1"));
}

TEST_CASE("The timeline tells of strategies that are swapped and of plugins that are refused", "[events]") {
  Server server(named("a"));
  const auto with = [&](const std::string& strategy) {
    return unwatched().set("strategy.algorithm", strategy).backend("a", server.address());
  };
  Balancer balancer(with("round_robin"));
  reload(balancer, with("least_connections"));
  REQUIRE(countOf(balancer, "plugin_swapped") == 1);
  const auto swapped = eventsOf(balancer, "plugin_swapped")[0];
  CHECK_THAT(textOf(swapped), Contains("strategy round_robin") && Contains("-> least_connections"));
  CHECK(swapped->getValue<std::string>("pool") == "default");
}

TEST_CASE("The timeline tells where max_connections is reached and where that is over", "[events]") {
  Server server(named("a"));
  Balancer balancer(unwatched().set("proxy.max_connections", 1).backend("a", server.address()));
  Socket first = balancer.connect();
  REQUIRE(first.receiveLine() == "a");
  {
    Socket second = balancer.connect();
    REQUIRE(eventually([&] { return countOf(balancer, "limit_reached") == 1; }));
    CHECK_THAT(textOf(eventsOf(balancer, "limit_reached")[0]), Contains("listener default is reached"));
    first = Socket();
    REQUIRE(second.receiveLine() == "a");
  }
  CHECK(eventually([&] { return countOf(balancer, "limit_over") == 1; }));
}

TEST_CASE("Who asks for events behind the last one is answered when there is one", "[events]") {
  Server server(named("a"));
  Balancer balancer(unwatched().backend("a", server.address()));
  const std::string after = next(balancer);
  SECTION("as soon as it happens") {
    HttpAnswer answer;
    std::thread waiting([&] { answer = balancer.admin("/api/v1/events?wait=30s&after=" + after); });
    // Whichever comes first, the request or the event: it is answered with that event.
    ordered(balancer, "a/weight?value=2");
    waiting.join();
    const auto page = parsedBody(answer);
    REQUIRE(page->getArray("events")->size() == 1);
    CHECK(textOf(page->getArray("events")->getObject(0)) == "a: weight 2, until the next reload of the file");
    CHECK(page->getValue<int>("lost") == 0);
  }
  SECTION("or without one when the time is over") {
    const auto page = events(balancer, "wait=100ms&after=" + after);
    CHECK(page->getArray("events")->size() == 0);
    CHECK(std::to_string(page->getValue<Poco::UInt64>("next")) == after);
  }
  SECTION("or at a stop which does not wait for that") {
    const auto ask = "GET /api/v1/events?wait=30s&after=" + after + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
    Socket client = Socket::connect(balancer.adminAddress());
    client.send(ask);
    Stopwatch watch;
    CHECK(balancer.stop() == 0);
    CHECK(watch.elapsed() < 8s);  // the client, which does not leave, is waited for a little
  }
}

TEST_CASE("A question for events that is wrong says which values there are", "[events]") {
  Server server(named("a"));
  Balancer balancer(unwatched().backend("a", server.address()));
  const auto refused = [&](const std::string& query) {
    const auto answer = balancer.admin("/api/v1/events?" + query);
    return std::to_string(answer.status) + " " + answer.body;
  };
  CHECK_THAT(refused("after=x"), Contains("400") && Contains("after is"));
  CHECK_THAT(refused("limit=0"), Contains("400") && Contains("from 1 to 1000"));
  CHECK_THAT(refused("wait=31s&after=0"), Contains("400") && Contains("up to 30s"));
  CHECK_THAT(refused("since=1"), Contains("400") && Contains("after, limit, wait"));
}

TEST_CASE("The timeline goes on in the next process with greater numbers", "[events][upgrade]") {
  Server server(named("a"));
  Balancer balancer(supervised().backend("a", server.address()), kSupervised);
  const std::string after = next(balancer);
  upgrade(balancer);
  const auto page = events(balancer, "limit=1000&after=" + after);
  CHECK(page->getValue<int>("lost") == 0);
  REQUIRE(page->getArray("events")->size() > 1);
  CHECK(countOf(balancer, "upgraded") == 1);
}

TEST_CASE("The reloads of late say who asked and what they changed", "[events]") {
  Server server(named("a"));
  Balancer balancer(unwatched().backend("a", server.address()));
  reload(
      balancer,
      unwatched().set("proxy.retries", 3).backend("a", server.address(), "weight = 4").backend("b", server.address()));
  write(balancer, unwatched().set("proxy.retries", -1).backend("a", server.address()));
  CHECK(requestReload(balancer).status == 422);
  const auto reloads = parsedBody(balancer.admin("/api/v1/reloads"))->getArray("reloads");
  REQUIRE(reloads->size() == 2);
  const auto refused = reloads->getObject(0), applied = reloads->getObject(1);
  CHECK(refused->getValue<std::string>("result") == "failed");
  CHECK_THAT(refused->getArray("lines")->getElement<std::string>(0), Contains("proxy.retries is -1"));
  CHECK(refused->getArray("changes")->size() == 0);
  CHECK(applied->getValue<std::string>("result") == "applied");
  CHECK(applied->getValue<std::string>("reason") == "request");
  CHECK(applied->getValue<int>("generation") == 2);
  CHECK_THAT(applied->getValue<std::string>("by"), Catch::StartsWith("127.0.0.1:"));
  const auto changes = applied->getArray("changes");
  REQUIRE(changes->size() == 3);
  CHECK(changes->getObject(0)->getValue<std::string>("key") == "proxy.retries");
  CHECK(changes->getObject(0)->getValue<std::string>("before") == "2");
  CHECK(changes->getObject(0)->getValue<std::string>("after") == "3");
  CHECK(changes->getObject(1)->getValue<std::string>("key") == "backends.a.weight");
  CHECK(changes->getObject(2)->getValue<std::string>("key") == "backends.b");
  CHECK(changes->getObject(2)->isNull("before"));
  CHECK(changes->getObject(2)->getValue<std::string>("after") == server.address());
}

TEST_CASE("The parts of the status are there alone and by pool", "[events]") {
  Server a(named("a")), b(named("b"));
  Balancer balancer(unwatched()
                        .backend("a", a.address())
                        .listener("web", "web")
                        .toml("[pools.web]\n[[pools.web.backends]]\nid = \"b\"\naddress = \"" + b.address() + "\"\n"));
  const auto backends = [&](const std::string& query) {
    return parsedBody(balancer.admin("/api/v1/backends" + query))->getArray("backends");
  };
  CHECK(backends("")->size() == 2);
  REQUIRE(backends("?pool=web")->size() == 1);
  CHECK(backends("?pool=web")->getObject(0)->getValue<std::string>("id") == "b");
  const auto unknown = balancer.admin("/api/v1/backends?pool=wed");
  CHECK(unknown.status == 404);
  CHECK_THAT(unknown.body, Contains("did you mean web?"));
  CHECK(balancer.admin("/api/v1/backends?pools=web").status == 400);
  const auto pools = parsedBody(balancer.admin("/api/v1/pools"))->getArray("pools");
  CHECK(pools->size() == 2);
  CHECK(pools->getObject(1)->getValue<std::string>("name") == "web");
  const auto plugins = parsedBody(balancer.admin("/api/v1/plugins"))->getArray("plugins");
  CHECK(plugins->getObject(0)->getValue<std::string>("kind") == "strategy");
}

TEST_CASE("A stream has every event as it happens and the status every second", "[events][stream]") {
  Server server(named("a"));
  Balancer balancer(unwatched().backend("a", server.address()));
  Socket client = Socket::connect(balancer.adminAddress());
  client.send("GET /api/v1/stream?after=0 HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n");
  const auto readUntil = [&](const std::string& what) {
    std::string line;
    while (line.find(what) == std::string::npos) line = client.receiveLine();
    return line;
  };
  CHECK(client.receiveLine() == "HTTP/1.1 200 OK\r");
  CHECK_THAT(readUntil("Content-Type"), Contains("text/event-stream"));
  CHECK_THAT(readUntil("data: "), Contains("\"started\""));
  for (int i = 0; i < 2; ++i) {
    readUntil("event: status");
    const std::string data = client.receiveLine();
    const auto status = Poco::JSON::Parser().parse(data.substr(6)).extract<Poco::JSON::Object::Ptr>();
    CHECK(status->getArray("backends")->size() == 1);
  }
  Stopwatch watch;
  ordered(balancer, "a/weight?value=2");
  CHECK_THAT(readUntil("override_set"), Catch::StartsWith("data: {") && Contains("a: weight 2"));
  CHECK(watch.elapsed() < 900ms);
  SECTION("and ends with the process, which does not wait for it") {
    CHECK(balancer.stop() == 0);
    CHECK(watch.elapsed() < 5s);
  }
}

TEST_CASE("So many streams are served and one that ends makes room", "[events][stream]") {
  Server server(named("a"));
  Balancer balancer(unwatched().backend("a", server.address()));
  const auto open = [&] {
    Socket client = Socket::connect(balancer.adminAddress());
    client.send("GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
    return std::pair(client.receiveLine(), std::move(client));
  };
  std::vector<std::pair<std::string, Socket>> streams;
  for (int i = 0; i < 16; ++i) {
    streams.push_back(open());
    CHECK(streams.back().first == "HTTP/1.1 200 OK\r");
  }
  CHECK_THAT(open().first, Contains("503"));
  streams.pop_back();
  CHECK(eventually([&] { return open().first == "HTTP/1.1 200 OK\r"; }));
}

TEST_CASE("The page of the admin API has every route", "[events]") {
  Server server(named("a"));
  Balancer balancer(unwatched().backend("a", server.address()));
  std::ifstream file(std::string(LEMONADE_SOURCE_DIR) + "/docs/admin-api.md");
  const std::string page((std::istreambuf_iterator<char>(file)), {});
  const auto endpoints = parsedBody(balancer.admin("/"))->getArray("endpoints");
  for (unsigned i = 0; i < endpoints->size(); ++i) {
    auto path = endpoints->getObject(i)->getValue<std::string>("path");
    if (!path.starts_with("/api/v1/")) continue;
    if (path.ends_with("*")) path.pop_back();
    INFO(path);
    for (const std::string method : {"GET", "POST"})
      if (endpoints->getObject(i)->getValue<std::string>("methods").find(method) != std::string::npos)
        CHECK_THAT(page, Contains("| `" + method + " " + path));
  }
}

}  // namespace lemonade::test
