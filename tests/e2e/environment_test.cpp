// SPDX-License-Identifier: MIT
//
// The environment: each variable has its effect, stands above the file and below the command line, and is enough alone.
#include "support/balancer.h"
#include "support/facts.h"
#include "support/server.h"

#include <Poco/JSON/Array.h>
#include <signal.h>

#include <catch2/catch.hpp>

namespace lemonade::test {

TEST_CASE("The environment alone is enough to run", "[environment]") {
  Server a(named("a")), b(named("b"));
  Process process(lemonade({"lb"}), {{"LEMONADE_LB_LISTEN_ADDRESS", "127.0.0.1:0"},
                                     {"LEMONADE_LB_ADMIN_ADDRESS", "127.0.0.1:0"},
                                     {"LEMONADE_LB_STRATEGY", "round_robin"},
                                     {"LEMONADE_LB_BACKEND_ADDRESSES", a.address() + "," + b.address()}});
  waitUntilReady(process);
  const auto address = listenerOf(process);
  CHECK(Socket::connect(address).receiveLine() == "a");
  CHECK(Socket::connect(address).receiveLine() == "b");
  process.signal(SIGTERM);
  CHECK(process.wait() == 0);
}

TEST_CASE("Variables stand above the file", "[environment]") {
  Server file(named("file")), first(named("first")), second(named("second"));
  Balancer balancer(Config().set("proxy.max_connections", 100).backend("file", file.address()),
                    {{"LEMONADE_LB_BACKEND_ADDRESSES", first.address() + "," + second.address()},
                     {"LEMONADE_LB_STRATEGY", "com.example.first"},
                     {"LEMONADE_LB_MAX_CONNECTIONS", "1"}});
  CHECK(balancer.ask() == "first");
  CHECK(balancer.backend("1")->getValue<std::string>("address") == second.address());
  Socket only = balancer.connect();
  REQUIRE(only.receiveLine() == "first");
  Socket waiting = balancer.connect();
  CHECK(waiting.staysOpen(300ms));
  only.close();
  CHECK(waiting.receiveLine() == "first");
}

TEST_CASE("The address variables stand above the file", "[environment]") {
  Server server(named("a"));
  Balancer balancer(Config().backend("a", server.address()),
                    {{"LEMONADE_LB_LISTEN_ADDRESS", "127.0.0.2:0"}, {"LEMONADE_LB_ADMIN_ADDRESS", "127.0.0.3:0"}});
  CHECK(balancer.address().starts_with("127.0.0.2:"));
  CHECK(balancer.adminAddress().starts_with("127.0.0.3:"));
  CHECK(balancer.ask() == "a");
}

TEST_CASE("An empty admin variable turns the admin listener off", "[environment]") {
  Server server(named("a"));
  Balancer balancer(Config().backend("a", server.address()), {{"LEMONADE_LB_ADMIN_ADDRESS", ""}});
  CHECK(balancer.ask() == "a");
  CHECK(balancer.process().countLog("admin: listening") == 0);
}

TEST_CASE("The drain and accept timeouts come from the environment", "[environment]") {
  const std::string variable = GENERATE("LEMONADE_LB_DRAIN_TIMEOUT_MS", "LEMONADE_LB_ACCEPT_TIMEOUT_MS");
  CAPTURE(variable);
  Server server(echo());
  Balancer balancer(Config().set("runtime.drain_timeout_millis", 60'000).backend("a", server.address()),
                    {{variable, "400"}});
  Socket client = balancer.connect();
  client.send("x");
  REQUIRE(client.receive(1) == "x");
  const Stopwatch watch;
  CHECK(balancer.stop() == 0);
  CHECK(watch.elapsed() < 5s * timeFactor());
}

TEST_CASE("The background timeout comes from the environment", "[environment]") {
  Server server(echo());
  Balancer balancer(Config()
                        .set("runtime.background_timeout_millis", 60'000)
                        .raw("metrics.sinks", "[\"com.example.slow\", \"prometheus\"]")
                        .raw("metrics.options", "{\"com.example.slow\" = {delay = \"1h\"}}")
                        .backend("a", server.address()),
                    {{"LEMONADE_LB_BACKGROUND_TIMEOUT_MS", "300"}, {"LEMONADE_LB_METRICS_INTERVAL_MS", "50"}});
  REQUIRE(eventually([&] { return balancer.metric("lemonade_uptime_seconds") > 0.3; }));
  const Stopwatch watch;
  CHECK(balancer.stop() == 0);
  CHECK(watch.elapsed() >= 290ms);
  CHECK(watch.elapsed() < 5s * timeFactor());
}

TEST_CASE("Health interval and timeout come from the environment", "[environment]") {
  Server server(named("a"));
  BlackHole hole;
  Balancer balancer(Config()
                        .realChecks()
                        .set("health.interval", "1h")
                        .set("health.timeout", "1h")
                        .backend("a", server.address())
                        .backend("hole", hole.address()),
                    {{"LEMONADE_LB_HEALTH_INTERVAL_MS", "50"}, {"LEMONADE_LB_HEALTH_TIMEOUT_MS", "200"}});
  CHECK(eventually([&] { return server.accepted() >= 10; }, 5s));
  CHECK_NOTHROW(waitForState(balancer, "hole", "down", 5s));
}

TEST_CASE("Plugin directories of the environment come before those of the file", "[environment]") {
  Server a(named("a")), b(named("b"));
  Balancer balancer(Config().backend("a", a.address()).backend("b", b.address()),
                    {{"LEMONADE_LB_PLUGIN_DIRS", LEMONADE_IMPOSTOR_FOLDER}});
  for (int i = 0; i < 4; ++i) CHECK(balancer.ask() == "b");
}

TEST_CASE("LEMONADE_LOG sets levels by component and RUST_LOG is read only where it is unset", "[environment]") {
  Server server(named("a"));
  const Config config = Config().realChecks().backend("a", server.address());
  {
    Balancer balancer(config, {{"LEMONADE_LOG", "info,health=debug"}, {"RUST_LOG", "error"}});
    CHECK_NOTHROW(balancer.process().waitForLog("DEBUG health:"));
    balancer.ask();
    CHECK(balancer.process().countLog("DEBUG access:") == 0);
  }
  {
    Balancer balancer(config, {{"LEMONADE_LOG", ""}, {"RUST_LOG", "info,lemonade_load_balancer=debug"}});
    CHECK_NOTHROW(balancer.process().waitForLog("DEBUG health:"));
    balancer.ask();
    CHECK_THAT(sessionLine(balancer), Catch::Contains("DEBUG access"));
  }
}

TEST_CASE("LEMONADE_LOG_FORMAT stands above the file", "[environment]") {
  Server server(named("a"));
  const TemporaryFolder folder;
  const auto file =
      folder.write("lemonade.toml", Config().set("log.format", "text").backend("a", server.address()).text());
  Process process(lemonade({"lb", "--config", file}), {{"LEMONADE_LOG_FORMAT", "json"}});
  const auto line = process.waitForLog("ready", 20s);
  CHECK(line.starts_with("{"));
  process.signal(SIGTERM);
  CHECK(process.wait() == 0);
}

TEST_CASE("A variable with a wrong value is an error that names it", "[environment]") {
  const auto outcome = run(lemonade({"lb", "--validate"}), {{"LEMONADE_LB_BACKEND_ADDRESSES", "127.0.0.1:1"},
                                                            {"LEMONADE_LB_MAX_CONNECTIONS", "many"},
                                                            {"LEMONADE_LB_DRAIN_TIMEOUT_MS", "-1"}});
  CHECK(outcome.code == 1);
  const auto said = outcome.out + outcome.err;
  CHECK(said.find("LEMONADE_LB_MAX_CONNECTIONS: ") != std::string::npos);
  CHECK(said.find("LEMONADE_LB_DRAIN_TIMEOUT_MS: ") != std::string::npos);
}

TEST_CASE("The metrics and health caps of the environment bound the queues", "[environment]") {
  Server server(named("a"));
  Balancer balancer(Config()
                        .realChecks()
                        .set("health.interval", "30ms")
                        .set("metrics.interval", "20ms")
                        .set("runtime.background_timeout_millis", 100)
                        .raw("metrics.sinks", "[\"prometheus\", \"com.example.slow\"]")
                        .raw("metrics.options", "{\"com.example.slow\" = {delay = \"1h\"}}")
                        .backend("a", server.address()),
                    {{"LEMONADE_LB_METRICS_CAP", "1"}, {"LEMONADE_LB_HEALTH_CAP", "1"}});
  CHECK(eventually([&] { return balancer.metric("lemonade_metrics_dropped_total") > 2; }));
  for (int i = 0; i < 3; ++i) {
    server.stop();
    waitForState(balancer, "a", "down");
    server.restart();
    waitForState(balancer, "a", "up");
  }
  CHECK(eventually([&] { return balancer.metric("lemonade_health_events_dropped_total") >= 2; }));
}

}  // namespace lemonade::test
