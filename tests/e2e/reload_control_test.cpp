// SPDX-License-Identifier: MIT
//
// Keys beside the data path that reload: health checks, metrics, admin listener, log, plugins. Each is seen to take
// effect from outside.
#include "e2e/reloading.h"
#include "support/facts.h"
#include "support/server.h"

#include <Poco/JSON/Parser.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>

namespace lemonade::test {
namespace {

namespace fs = std::filesystem;

Config checked() { return unwatched().realChecks(); }

bool becomes(Balancer& balancer, const std::string& id, const std::string& state) {
  return eventually([&] { return stateOf(balancer, id) == state; });
}

}  // namespace

TEST_CASE("A reload changes the interval of health checks", "[reload]") {
  Server server(named("a"));
  const auto with = [&](const char* interval) {
    return checked().set("health.interval", interval).backend("a", server.address());
  };
  Balancer balancer(with("1h"));
  REQUIRE(eventually([&] { return server.accepted() == 1; }));
  reload(balancer, with("20ms"));
  CHECK(eventually([&] { return server.accepted() > 10; }));
  reload(balancer, with("1h"));
  // One check may have been under way.
  const unsigned after = server.accepted();
  CHECK_FALSE(eventually([&] { return server.accepted() > after + 1; }, 300ms));
}

TEST_CASE("A reload changes the timeout of a health check under way", "[reload]") {
  BlackHole hole;
  const auto with = [&](const char* timeout) {
    return checked().set("health.timeout", timeout).backend("hole", hole.address());
  };
  Balancer balancer(with("1h"));
  REQUIRE_FALSE(eventually([&] { return stateOf(balancer, "hole") == "down"; }, 300ms));
  reload(balancer, with("100ms"));
  CHECK(becomes(balancer, "hole", "down"));
}

TEST_CASE("A reload changes rise and fall", "[reload]") {
  Server server(named("a"));
  const auto with = [&](int rise, int fall) {
    return checked()
        .set("health.interval", "20ms")
        .set("health.rise", rise)
        .set("health.fall", fall)
        .backend("a", server.address());
  };
  Balancer balancer(with(1'000, 1'000));
  REQUIRE(eventually([&] { return server.accepted() > 0; }));
  const auto failures = [&] { return balancer.metric("lemonade_health_check_failures_total"); };
  server.stop();
  REQUIRE(eventually([&] { return failures() > 5; }));
  CHECK(stateOf(balancer, "a") == "up");
  reload(balancer, with(1'000, 3));
  CHECK(becomes(balancer, "a", "down"));
  server.restart();
  const unsigned before = server.accepted();
  REQUIRE(eventually([&] { return server.accepted() > before + 5; }));
  CHECK(stateOf(balancer, "a") == "down");
  reload(balancer, with(3, 3));
  CHECK(becomes(balancer, "a", "up"));
}

TEST_CASE("A reload changes the health checker", "[reload]") {
  RefusingPort dead;
  const auto with = [&](const char* checker) {
    return checked().set("health.checker", checker).backend("dead", dead.address());
  };
  Balancer balancer(with("com.example.optimist"));
  REQUIRE(stateOf(balancer, "dead") == "up");
  reload(balancer, with("tcp"));
  CHECK(becomes(balancer, "dead", "down"));
  reload(balancer, with("com.example.optimist"));
  CHECK(becomes(balancer, "dead", "up"));
}

TEST_CASE("A reload changes sinks and their options and how often they are fed", "[reload]") {
  Server a(named("a")), b(named("b"));
  const auto with = [&](const std::string& sinks, const char* interval, int shown) {
    return unwatched()
        .raw("metrics.sinks", sinks)
        .set("metrics.interval", interval)
        .raw("metrics.options", "{log = {backends = " + std::to_string(shown) + "}}")
        .backend("a", a.address())
        .backend("b", b.address());
  };
  Balancer balancer(with("[\"prometheus\"]", "50ms", 2));
  auto& process = balancer.process();
  CHECK(balancer.admin("/metrics").status == 200);
  // Idle backends get no line.
  Socket at_a = balancer.connect(), at_b = balancer.connect();
  reload(balancer, with("[\"log\"]", "50ms", 2));
  CHECK(balancer.admin("/metrics").status == 404);
  CHECK(eventually([&] { return process.countLog("log: pool=default backend=b") >= 3; }));

  reload(balancer, with("[\"log\"]", "50ms", 0));
  const auto seen = process.logSize();
  process.waitForLog("log: total", 10s, seen);
  process.waitForLog("log: total", 10s, process.logSize());
  const auto shown = process.countLog("log: pool=default backend=b");
  process.waitForLog("log: total", 10s, process.logSize());
  CHECK(process.countLog("log: pool=default backend=b") == shown);

  reload(balancer, with("[\"log\", \"prometheus\"]", "1h", 0));
  CHECK(balancer.admin("/metrics").status == 200);
  const auto totals = process.countLog("log: total");
  // The new interval may have begun with one more.
  CHECK_FALSE(eventually([&] { return process.countLog("log: total") > totals + 1; }, 300ms));
}

TEST_CASE("A reload moves the admin listener and turns it off", "[reload]") {
  Server server(named("a"));
  Config config = watched();
  config.backend("a", server.address());
  Balancer balancer(config);
  auto& process = balancer.process();
  const std::string old = balancer.adminAddress();
  const auto seen = process.logSize();
  // The request that asks for it is still answered by the old one.
  CHECK(contains(reload(balancer, config.set("admin.listen_address", "127.0.0.2:0")), "admin.listen_address"));
  const std::string moved = adminOf(process, seen);
  CHECK(httpGet(moved, "/healthz").status == 200);
  CHECK(contains(httpGet(moved, "/metrics").body, "lemonade_config_generation 2"));
  const auto answers = [](const std::string& address) {
    try {
      return httpGet(address, "/healthz").status == 200;
    } catch (const std::exception&) {
      return false;
    }
  };
  CHECK(eventually([&] { return !answers(old); }));
  write(balancer, config.set("admin.listen_address", ""));
  CHECK(eventually([&] { return !answers(moved); }));
  CHECK(balancer.ask() == "a");
  const auto before = process.logSize();
  write(balancer, config.set("admin.listen_address", "127.0.0.1:0"));
  CHECK(answers(adminOf(process, before)));
}

TEST_CASE("A reload changes the level and the format of the log", "[reload]") {
  Server server(named("a"));
  const auto with = [&](const char* level, const char* format) {
    return unwatched().set("log.level", level).set("log.format", format).backend("a", server.address());
  };
  Balancer balancer(with("info", "text"), {{"LEMONADE_LOG", ""}});
  auto& process = balancer.process();
  REQUIRE(balancer.ask() == "a");
  reload(balancer, with("info,access=debug", "text"));
  REQUIRE(balancer.ask() == "a");
  CHECK(contains(sessionLine(balancer), "DEBUG access"));

  reload(balancer, with("info,access=debug", "json"));
  REQUIRE(balancer.ask() == "a");
  const auto line = process.waitForLog("\"message\":\"session closed\"");
  CHECK(Poco::JSON::Parser().parse(line).extract<Poco::JSON::Object::Ptr>()->getValue<std::string>("component") ==
        "access");

  reload(balancer, with("error", "text"));
  const auto seen = process.logSize();
  REQUIRE(balancer.ask() == "a");
  write(balancer, with("nonsense", "text"));
  CHECK(requestReload(balancer).status == 422);
  // Of all that the last steps had to say only the errors are there.
  CHECK(contains(process.waitForLog("config: ", 10s, seen), "ERROR"));
  CHECK(process.countLog("session closed", 2) == 2);
}

TEST_CASE("A reload changes the plugin directories and what they hold is watched from then on", "[reload]") {
  Server a(named("a")), b(named("b"));
  const TemporaryFolder folder;
  const auto place = [&](const std::string& version) {
    const fs::path beside = folder.path() / "new";
    fs::copy_file(fs::path(LEMONADE_SWAPPED_FOLDER) / (version + ".so"), beside);
    fs::rename(beside, folder.path() / "always.so");
  };
  place("always_last");
  Config config = watched();
  config.backend("a", a.address()).backend("b", b.address());
  Balancer balancer(config);
  // Without its directory there is no such strategy.
  write(balancer, Config(config).set("strategy.algorithm", "com.example.always"));
  CHECK(requestReload(balancer).status == 422);
  config.raw("plugins.directories", "[\"" + folder.path().string() + "\", \"" + testPluginFolder() + "\"]");
  reload(balancer, config.set("strategy.algorithm", "com.example.always"));
  for (int i = 0; i < 4; ++i) CHECK(balancer.ask() == "b");
  place("always_first");
  CHECK(eventually([&] { return balancer.ask() == "a"; }));
}

TEST_CASE("A reload changes where private copies of plugins are kept from then on", "[reload]") {
  Server server(named("a"));
  const TemporaryFolder first, second;
  const auto with = [&](const TemporaryFolder& cache, const char* strategy) {
    return unwatched()
        .set("plugins.cache_directory", cache.path().string())
        .set("strategy.algorithm", strategy)
        .backend("a", server.address());
  };
  Balancer balancer(with(first, "round_robin"));
  const auto mappedFrom = [&](const TemporaryFolder& cache) {
    std::ifstream maps("/proc/" + std::to_string(balancer.process().pid()) + "/maps");
    return contains({std::istreambuf_iterator<char>(maps), {}}, cache.path().string());
  };
  CHECK(mappedFrom(first));
  reload(balancer, with(second, "least_connections"));
  CHECK(mappedFrom(second));
  CHECK(balancer.ask() == "a");
  CHECK(balancer.stop() == 0);
  CHECK(fs::is_empty(first.path()));
  CHECK(fs::is_empty(second.path()));
}

TEST_CASE("A file that is no plugin is remarked on once for each content", "[reload]") {
  Server server(named("a"));
  const TemporaryFolder folder;
  const std::string junk = folder.write("junk.so", "junk");
  Config config = unwatched();
  config.backend("a", server.address())
      .raw("plugins.directories", "[\"" + folder.path().string() + "\", \"" + testPluginFolder() + "\"]");
  Balancer balancer(config);
  const auto remarked = [&](std::size_t times) {
    return eventually([&] { return balancer.process().countLog("skipped " + junk) == times; });
  };
  CHECK(remarked(1));
  CHECK(contains(reload(balancer, config.set("proxy.retries", 7)), "proxy.retries 2 -> 7"));
  CHECK(remarked(1));
  folder.write("junk.so", "other junk");
  reload(balancer, config);
  CHECK(remarked(2));
  // Where it may be the reason for a refusal it is said again.
  write(balancer, Config(config).set("strategy.algorithm", "com.example.junk"));
  CHECK(contains(requestReload(balancer).body, "skipped " + junk));
  CHECK(remarked(3));
}

}  // namespace lemonade::test
