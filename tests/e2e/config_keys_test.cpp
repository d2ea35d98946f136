// SPDX-License-Identifier: MIT
//
// The keys of the configuration that no other file here shows at work. The rest: max_connections, idle_timeout and
// descriptors in limits_test, connect_timeout and retries in connecting_test, timeouts of stopping in stopping_test,
// weight in sharing_test, interval, timeout, rise, fall and enabled in health_test.
#include "support/balancer.h"
#include "support/facts.h"
#include "support/server.h"

#include <Poco/JSON/Array.h>
#include <Poco/JSON/Parser.h>
#include <signal.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <thread>

namespace lemonade::test {
namespace {

/// What ss says about the sockets of a filter such as "sport = :80"; each line is one socket.
std::string sockets(const std::string& options, const std::string& filter) {
  return run({"ss", "-tnHo" + options, filter}).out;
}

}  // namespace

TEST_CASE("runtime.workers is the number of workers and zero is one for each core", "[config_keys]") {
  Server server(named("a"));
  const auto workers = [&](int said) {
    Balancer balancer(Config().set("runtime.workers", said).backend("a", server.address()));
    return balancer.status()->getArray("workers")->size();
  };
  CHECK(workers(3) == 3);
  CHECK(workers(0) == std::thread::hardware_concurrency());
}

TEST_CASE("A slow sink loses the oldest snapshots and events beyond the caps and checks go on", "[config_keys]") {
  Server server(named("a"));
  const auto config = [&](int metrics_cap, int health_cap, int age_cap) {
    return Config()
        .realChecks()
        .set("health.interval", "20ms")
        .set("metrics.interval", "20ms")
        .set("runtime.metrics_cap", metrics_cap)
        .set("runtime.health_cap", health_cap)
        .set("runtime.age_cap", age_cap)
        .set("plugins.hang_limit", "1h")
        .set("runtime.background_timeout_millis", 100)
        .raw("metrics.sinks", "[\"prometheus\", \"com.example.slow\"]")
        .raw("metrics.options", "{\"com.example.slow\" = {delay = \"1h\"}}")
        .backend("a", server.address());
  };
  const auto flip = [&](Balancer& balancer) {
    server.stop();
    waitForState(balancer, "a", "down");
    server.restart();
    waitForState(balancer, "a", "up");
  };

  SECTION("small caps overflow") {
    Balancer balancer(config(1, 2, 1'000));
    CHECK(eventually([&] { return balancer.metric("lemonade_metrics_dropped_total", {"com.example.slow"}) >= 3; }));
    for (int i = 0; i < 4; ++i) flip(balancer);
    CHECK(
        eventually([&] { return balancer.metric("lemonade_health_events_dropped_total", {"com.example.slow"}) >= 4; }));
    const unsigned checks = server.accepted();
    CHECK(eventually([&] { return server.accepted() >= checks + 10; }));
  }
  SECTION("large caps hold all events, and no snapshot waits for a sink that overruns") {
    Balancer balancer(config(1'000'000, 1'000, 1'000));
    for (int i = 0; i < 4; ++i) flip(balancer);
    CHECK(balancer.metric("lemonade_health_events_dropped_total") == 0);
    CHECK(eventually([&] { return balancer.metric("lemonade_metrics_dropped_total", {"com.example.slow"}) >= 3; }));
    CHECK(balancer.metric("lemonade_sink_overruns_total", {"com.example.slow"}) == 1);
  }
  SECTION("what waits for longer than age_cap intervals is dropped, too") {
    Balancer balancer(config(1'000'000, 1'000, 1));
    for (int i = 0; i < 2; ++i) flip(balancer);
    // The first snapshot or the first event is in the call that takes its time.
    CHECK(
        eventually([&] { return balancer.metric("lemonade_health_events_dropped_total", {"com.example.slow"}) >= 3; }));
  }
}

TEST_CASE("proxy.backlog is the length of the accept queue", "[config_keys]") {
  Server server(named("a"));
  Balancer balancer(Config().set("proxy.backlog", 7).backend("a", server.address()));
  // Of a listening socket ss shows the backlog as Send-Q, the third column.
  std::istringstream line(sockets("l", "sport = :" + std::to_string(portOf(balancer.address()))));
  std::string state, received, backlog;
  line >> state >> received >> backlog;
  CHECK(backlog == "7");
}

TEST_CASE("proxy.tcp_keepalive turns keepalive on for both ends and zero turns it off", "[config_keys]") {
  Server server(named("a"));
  const auto timers = [&](const char* keepalive) {
    Balancer balancer(Config().set("proxy.tcp_keepalive", keepalive).backend("a", server.address()));
    Socket client = balancer.connect();
    REQUIRE(client.receiveLine() == "a");
    const auto to_client = sockets("", "sport = :" + std::to_string(portOf(balancer.address())));
    const auto to_backend = sockets("", "dport = :" + std::to_string(portOf(server.address())));
    INFO(to_client << to_backend);
    const auto alive = [](const std::string& lines) { return lines.find("keepalive") != std::string::npos; };
    REQUIRE(alive(to_client) == alive(to_backend));
    return alive(to_client);
  };
  CHECK(timers("77s"));
  CHECK_FALSE(timers("0s"));
}

TEST_CASE("strategy may be given in the short form", "[config_keys]") {
  Server a(named("a")), b(named("b"));
  Balancer balancer(Config()
                        .unset("strategy.algorithm")
                        .set("strategy", "com.example.first")
                        .backend("a", a.address())
                        .backend("b", b.address()));
  for (int i = 0; i < 3; ++i) CHECK(balancer.ask() == "a");
}

TEST_CASE("A backend's name is shown and is its id where none is given", "[config_keys]") {
  Server a(named("a")), b(named("b"));
  Balancer balancer(Config().backend("a", a.address(), "name = \"first one\"").backend("b", b.address()));
  CHECK(balancer.backend("a")->getValue<std::string>("name") == "first one");
  CHECK(balancer.backend("b")->getValue<std::string>("name") == "b");
}

TEST_CASE("metrics.sinks are the sinks that run and their interval decides how often", "[config_keys]") {
  Server server(named("a"));
  Balancer balancer(
      Config().raw("metrics.sinks", "[\"log\"]").set("metrics.interval", "50ms").backend("a", server.address()));
  CHECK(balancer.admin("/metrics").status == 404);
  CHECK(eventually([&] { return balancer.process().countLog(" log: ") >= 3; }));
}

TEST_CASE("log.level and log.format shape the log", "[config_keys]") {
  Server server(named("a"));
  SECTION("a component of its own level") {
    Balancer balancer(Config().set("log.level", "info,access=debug").backend("a", server.address()),
                      {{"LEMONADE_LOG", ""}});
    balancer.ask();
    CHECK_THAT(sessionLine(balancer), Catch::Contains("DEBUG access"));
  }
  SECTION("info is the default") {
    Balancer balancer(Config().backend("a", server.address()), {{"LEMONADE_LOG", ""}});
    balancer.ask();
    CHECK(balancer.stop() == 0);
    CHECK(balancer.process().countLog("DEBUG") == 0);
  }
  SECTION("JSON") {
    const TemporaryFolder folder;
    const auto file = folder.write(
        "lemonade.toml",
        Config().set("log.format", "json").set("log.level", "debug").backend("a", server.address()).text());
    Process process(lemonade({"lb", "--config", file}));
    process.waitForLog("\"ready\"", 20s);
    const auto listening = Poco::JSON::Parser()
                               .parse(process.waitForLog("\"component\":\"proxy\",\"message\":\"listening\""))
                               .extract<Poco::JSON::Object::Ptr>();
    CHECK(listening->getValue<std::string>("level") == "INFO");
    CHECK(Socket::connect(listening->getValue<std::string>("address")).receiveLine() == "a");
    process.signal(SIGTERM);
    REQUIRE(process.wait() == 0);
    std::istringstream lines(process.err());
    for (std::string line; std::getline(lines, line);) CHECK_NOTHROW(Poco::JSON::Parser().parse(line));
  }
}

TEST_CASE("Plugin directories are relative to the configuration file", "[config_keys]") {
  Server a(named("a")), b(named("b"));
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder.path() / "mine");
  std::filesystem::copy_file(testPlugin("first"), folder.path() / "mine" / "first.so");
  const auto file = folder.write("lemonade.toml", Config()
                                                      .raw("plugins.directories", "[\"mine\"]")
                                                      .set("health.checker", "tcp")
                                                      .set("strategy.algorithm", "com.example.first")
                                                      .backend("a", a.address())
                                                      .backend("b", b.address())
                                                      .text());
  CHECK(run(lemonade({"lb", "--validate", "--config", file})).code == 0);
}

TEST_CASE("The seed's production configuration is accepted unchanged", "[config_keys]") {
  const auto outcome = run(lemonade({"lb", "--validate", "--config", LEMONADE_SOURCE_DIR "/config/production.toml"}));
  INFO(outcome.err);
  CHECK(outcome.code == 0);
}

}  // namespace lemonade::test
