// SPDX-License-Identifier: MIT
//
// The admin listener, and "Logs and metrics": what an operator reads off a running balancer.
#include "support/balancer.h"
#include "support/facts.h"
#include "support/server.h"

#include <Poco/JSON/Array.h>
#include <Poco/JSON/Parser.h>

#include <catch2/catch.hpp>

namespace lemonade::test {
namespace {

/// A balancer with one echoing backend, and one exchange done.
struct Used {
  Used() : server(echo()), balancer(Config().backend("a", server.address())) {
    Socket client = balancer.connect();
    client.send("hello");
    REQUIRE(client.receive(5) == "hello");
    client.finishSending();
    client.receiveAll();
    (void)sessionLine(balancer);
  }

  Server server;
  Balancer balancer;
};

}  // namespace

TEST_CASE("promtool accepts what /metrics says without a complaint", "[admin]") {
  Used used;
  REQUIRE(installed("promtool"));
  const auto answer = used.balancer.admin("/metrics");
  REQUIRE(answer.status == 200);
  CHECK(answer.head.find("text/plain; version=0.0.4") != std::string::npos);
  const TemporaryFolder folder;
  const auto file = folder.write("metrics", answer.body);
  const auto outcome = run({"sh", "-c", "promtool check metrics < " + file});
  INFO(outcome.out << outcome.err);
  CHECK(outcome.code == 0);
  CHECK((outcome.out + outcome.err).empty());
}

TEST_CASE("The configuration that is in force is shown key by key, without the values of options", "[admin]") {
  Server server(echo());
  Balancer balancer(Config()
                        .set("proxy.retries", 7)
                        .set("strategy.algorithm", "consistent_hash")
                        .raw("strategy.options.load_factor", "1.234567")
                        .backend("a", server.address()));
  const auto answer = balancer.admin("/api/v1/config");
  CHECK(answer.status == 200);
  CHECK(answer.head.find("application/json") != std::string::npos);
  const auto shown = Poco::JSON::Parser().parse(answer.body).extract<Poco::JSON::Object::Ptr>();
  CHECK(shown->getValue<int>("generation") == 1);
  const auto keys = shown->getObject("keys");
  CHECK(keys->getValue<std::string>("proxy.retries") == "7");
  CHECK(keys->getValue<std::string>("health.interval") == "5s");
  CHECK(keys->getValue<std::string>("strategy.options") == "[load_factor]");
  CHECK(answer.body.find("1.234567") == std::string::npos);
  CHECK(keys->getValue<std::string>("backends.a.address") == server.address());
}

TEST_CASE("The status names version and workers and plugins and backends with their numbers", "[admin]") {
  Used used;
  const auto answer = used.balancer.admin("/api/v1/status");
  CHECK(answer.status == 200);
  CHECK(answer.head.find("application/json") != std::string::npos);
  const auto status = used.balancer.status();
  CHECK(status->getValue<std::string>("version") == LEMONADE_VERSION);
  CHECK(status->has("uptime_seconds"));
  CHECK(status->getArray("workers")->size() == 2);
  CHECK(status->getValue<std::string>("state") == "running");

  const auto plugins = status->getArray("plugins");
  REQUIRE(plugins->size() == 3);
  for (unsigned i = 0; i < plugins->size(); ++i)
    for (const char* key : {"id", "version", "file", "generation"}) {
      CAPTURE(i, key);
      CHECK(plugins->getObject(i)->has(key));
    }

  const auto backend = used.balancer.backend("a");
  CHECK(backend->getValue<std::string>("address") == used.server.address());
  CHECK(backend->getValue<std::string>("state") == "up");
  CHECK(backend->has("reason"));
  CHECK(backend->getValue<int>("active") == 0);
  CHECK(backend->has("exchange_rate"));
  CHECK(backend->getObject("totals")->getValue<int>("sessions") == 1);
  CHECK(backend->getObject("totals")->getValue<int>("exchanges") == 1);
  CHECK(backend->getObject("totals")->getValue<int>("bytes_in") == 5);
  CHECK(backend->getObject("totals")->getValue<int>("bytes_out") == 5);
  for (const char* time : {"connect_ms", "exchange_ms"})
    for (const char* percentile : {"p50", "p95", "p99"}) {
      CAPTURE(time, percentile);
      CHECK(backend->getObject(time)->getValue<double>(percentile) > 0);
    }
}

TEST_CASE("Gauges return to zero when the balancer is idle", "[admin]") {
  Server server(named("a"));
  RefusingPort dead;
  Balancer balancer(Config().set("health.fall", 1000).backend("a", server.address()).backend("dead", dead.address()));
  for (int i = 0; i < 10; ++i) {
    balancer.ask();
    balancer.connect().reset();
  }
  CHECK(eventually([&] { return balancer.metric("lemonade_proxy_sessions") == 0; }));
  CHECK(eventually([&] { return balancer.metric("lemonade_backend_active_sessions") == 0; }));
  CHECK(balancer.metric("lemonade_backend_waiting_exchanges") == 0);
  CHECK(balancer.metric("lemonade_backend_quiet_sessions") == 0);
}

TEST_CASE("A session is quiet from its answer to its next question", "[admin]") {
  Server server([](Socket& socket) {
    while (socket.receiveLine(10min) == "answer") socket.send("done\n");
    socket.receiveLine(10min);
  });
  Balancer balancer(Config().backend("a", server.address()));
  const auto quiet = [&](double count) {
    return eventually([&] { return balancer.metric("lemonade_backend_quiet_sessions") == count; });
  };
  Socket one = balancer.connect(), other = balancer.connect();
  for (int turn = 0; turn < 3; ++turn) {
    for (Socket* client : {&one, &other}) {
      client->send("answer\n");
      REQUIRE(client->receiveLine() == "done");
    }
    CHECK(quiet(2));
  }
  one.send("wait\n");
  CHECK(quiet(1));
  one.close();
  other.reset();
  CHECK(quiet(0));
  CHECK(eventually([&] { return balancer.metric("lemonade_backend_active_sessions") == 0; }));
  CHECK(quiet(0));
}

TEST_CASE("The access log has one line for each session with all there is to know", "[admin]") {
  Used used;
  Socket client = used.balancer.connect();
  const std::string from = client.localAddress();
  client.send("one");
  client.receive(3);
  client.send("four");
  client.receive(4);
  client.finishSending();
  client.receiveAll();
  const auto line = used.balancer.process().waitForLog("client=" + from);
  CHECK(line.find("DEBUG access: session closed") != std::string::npos);
  CHECK(field(line, "backend") == "a");
  CHECK(field(line, "backend_address") == used.server.address());
  CHECK(field(line, "attempts") == "1");
  CHECK(field(line, "bytes_in") == "7");
  CHECK(field(line, "bytes_out") == "7");
  CHECK(field(line, "exchanges") == "2");
  CHECK(field(line, "reason") == "done");
  for (const char* time : {"connect_ms", "slowest_exchange_ms", "duration_ms"}) {
    CAPTURE(time);
    REQUIRE_FALSE(field(line, time).empty());
    CHECK(std::stod(field(line, time)) >= 0);
  }
  CHECK(std::stod(field(line, "slowest_exchange_ms")) <= std::stod(field(line, "duration_ms")));
  CHECK(used.balancer.process().countLog("access: session closed", 2) == 2);
}

TEST_CASE("Resets are told apart in the access log by who sent them", "[admin]") {
  Server server([](Socket& socket) {
    if (socket.next() == End::kClosed) return;
    if (socket.receive(1) == "r") return socket.reset();
    socket.send("?");
    socket.next();
  });
  Balancer balancer(Config().backend("a", server.address()));
  {
    Socket client = balancer.connect();
    client.send("r");
    CHECK(client.next() == End::kReset);
  }
  CHECK(field(sessionLine(balancer), "reason") == "backend-reset");
  const auto seen = balancer.process().logSize();
  {
    Socket client = balancer.connect();
    client.send("x");
    REQUIRE(client.receive(1) == "?");
    client.reset();
  }
  CHECK(field(sessionLine(balancer, seen), "reason") == "client-reset");
}

TEST_CASE("Unknown admin paths are 404 and wrong methods 405", "[admin]") {
  Used used;
  CHECK(used.balancer.admin("/nothing").status == 404);
  CHECK(httpGet(used.balancer.adminAddress(), "/healthz", "DELETE").status == 405);
}

TEST_CASE("An empty admin address turns the admin listener off", "[admin]") {
  Server server(named("a"));
  Balancer balancer(Config().set("admin.listen_address", "").backend("a", server.address()));
  CHECK(balancer.ask() == "a");
  CHECK(balancer.process().countLog("admin: listening") == 0);
}

}  // namespace lemonade::test
