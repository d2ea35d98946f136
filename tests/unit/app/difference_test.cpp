// SPDX-License-Identifier: MIT
#include "app/difference.h"
#include "config/change.h"
#include "config/keys.h"
#include "config/loader.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>

using namespace lemonade;
using namespace lemonade::app;
using namespace std::chrono_literals;

namespace {

using Lines = std::vector<std::string>;

config::Backend backend(const std::string& id, const std::string& host = "10.0.0.1") {
  config::Backend backend;
  backend.id = backend.name = id;
  backend.host = host;
  backend.port = 80;
  return backend;
}

config::Config typical() {
  config::Config config;
  config.listeners.front().addresses = {{"0.0.0.0:8080", {}}};
  config.admin = config::Listen{"127.0.0.1:9090", {}};
  config.pools.front().strategy = {"adaptive", {}, {{"choices", std::int64_t{2}, {}}}};
  config.pools.front().health.checker = {"tcp", {}, {}};
  config.metrics.sinks = {{"prometheus", {}, {}}};
  config.pools.front().backends = {backend("a"), backend("b", "10.0.0.2")};
  return config;
}

/// What differs between a typical configuration and one that change was applied to.
template <class Change>
Lines after(Change change) {
  auto config = typical();
  change(config);
  return differences(typical(), config);
}

/// A key, a value that is not its default, and what a reload says where a file that sets it takes the place of one that
/// does not.
struct Case {
  const char* path;
  const char* value;
  Lines lines;
  const char* more = "";  ///< of the file, where the key alone makes no valid one
};

const std::vector<Case> kCases = {
    {"runtime.workers", "3", {"runtime.workers 0 -> 3"}},
    {"runtime.supervisor", "\"off\"", {"runtime.supervisor auto -> off, from the next start on"}},
    {"runtime.metrics_cap", "5", {"runtime.metrics_cap 10000 -> 5"}},
    {"runtime.health_cap", "5", {"runtime.health_cap 1000 -> 5"}},
    {"runtime.grace_millis", "1000", {"runtime.grace_millis 0s -> 1s"}},
    {"runtime.drain_timeout_millis", "1000", {"runtime.drain_timeout_millis 30s -> 1s"}},
    {"runtime.background_timeout_millis", "1000", {"runtime.background_timeout_millis 10s -> 1s"}},
    {"runtime.accept_timeout_millis", "61000", {"runtime.accept_timeout_millis 60s -> 61s"}},
    {"runtime.config_watch_interval_millis", "1500", {"runtime.config_watch_interval_millis 5s -> 1500ms"}},
    {"runtime.zone", "\"eu-1a\"", {"runtime.zone \"\" -> eu-1a"}},
    {"proxy.listen_address",
     "[\"0.0.0.0:8080\", \"[::1]:81\"]",
     {"proxy.listen_address [0.0.0.0:8080] -> [0.0.0.0:8080, [::1]:81]"}},
    {"proxy.pool",
     "\"web\"",
     {"proxy.pool default -> web", "pool web added"},
     "[pools.web]\nbackends = \"10.0.0.9:80\"\n"},
    {"proxy.backlog", "9", {"proxy.backlog 4096 -> 9"}},
    {"proxy.max_connections", "9", {"proxy.max_connections 10000 -> 9"}},
    {"proxy.connect_timeout", "\"250ms\"", {"proxy.connect_timeout 5s -> 250ms"}},
    {"proxy.idle_timeout", "0", {"proxy.idle_timeout 3600s -> 0s"}},
    {"proxy.half_close_timeout", "\"1s\"", {"proxy.half_close_timeout 60s -> 1s"}},
    {"proxy.tcp_keepalive_interval", "\"1s\"", {"proxy.tcp_keepalive_interval 10s -> 1s"}},
    {"proxy.tcp_keepalive_count", "1", {"proxy.tcp_keepalive_count 5 -> 1"}},
    {"proxy.tcp_user_timeout", "\"1s\"", {"proxy.tcp_user_timeout 0s -> 1s"}},
    {"proxy.tcp_keepalive", "false", {"proxy.tcp_keepalive 60s -> 0s"}},
    {"proxy.retries", "3", {"proxy.retries 2 -> 3"}},
    {"proxy.resolve_interval", "\"1s\"", {"proxy.resolve_interval 10s -> 1s"}},
    {"proxy.queue_timeout", "\"1s\"", {"proxy.queue_timeout 5s -> 1s"}},
    {"proxy.relay", "\"epoll\"", {"proxy.relay auto -> epoll, from the next start or upgrade on"}},
    {"strategy.algorithm", "\"round_robin\"", {"strategy adaptive -> round_robin"}},
    {"strategy.options", "{secret = 3}", {"strategy adaptive: options changed"}},
    {"health.checker", "\"http\"", {"health.checker tcp -> http"}},
    {"health.initial", "\"check\"", {"health.initial up -> check"}},
    {"health.interval", "\"1s\"", {"health.interval 5s -> 1s"}},
    {"health.fast_interval", "\"1s\"", {"health.fast_interval 0s -> 1s"}},
    {"health.down_interval", "\"1s\"", {"health.down_interval 0s -> 1s"}},
    {"health.timeout", "\"1s\"", {"health.timeout 2s -> 1s"}},
    {"health.rise", "1", {"health.rise 2 -> 1"}},
    {"health.fall", "1", {"health.fall 3 -> 1"}},
    {"health.slow_start", "\"1s\"", {"health.slow_start 10s -> 1s"}},
    {"health.slow_start_aggression", "1.5", {"health.slow_start_aggression 1 -> 1.5"}},
    {"health.panic_threshold", "0.3333331", {"health.panic_threshold 0 -> 0.3333331"}},
    {"health.close_sessions_when_down", "true", {"health.close_sessions_when_down false -> true"}},
    {"health.options", "{password = \"secret\"}", {"health.checker tcp: options changed"}},
    {"ejection.enabled", "false", {"ejection.enabled true -> false"}},
    {"ejection.consecutive_failures", "1", {"ejection.consecutive_failures 3 -> 1"}},
    {"ejection.base_time", "\"1s\"", {"ejection.base_time 10s -> 1s"}},
    {"ejection.max_time", "\"1m\"", {"ejection.max_time 300s -> 60s"}},
    {"ejection.max_share", "0.25", {"ejection.max_share 0.5 -> 0.25"}},
    {"ejection.unanswered_timeout", "\"1s\"", {"ejection.unanswered_timeout 2s -> 1s"}},
    {"metrics.interval", "\"1s\"", {"metrics.interval 10s -> 1s"}},
    {"metrics.sinks", "[]", {"metrics.sinks [prometheus] -> []"}},
    {"metrics.options", "{prometheus = {token = \"secret\"}}", {"sink prometheus: options changed"}},
    {"admin.listen_address", "\"\"", {"admin.listen_address 127.0.0.1:9090 -> \"\""}},
    {"admin.hosts", "[\"lb.example\"]", {"admin.hosts [] -> [lb.example]"}},
    {"admin.ready", "\"all\"", {"admin.ready any -> all"}},
    {"plugins.directories", "[\"/p\", \"/q\"]", {"plugins.directories [] -> [/p, /q]"}},
    {"plugins.cache_directory", "\"/c\"", {"plugins.cache_directory \"\" -> /c"}},
    {"log.level", "\"warn,health=debug\"", {"log.level info -> warn,health=debug"}},
    {"log.format", "\"json\"", {"log.format text -> json"}},
    {"backends.id", "\"b\"", {"backend b: added", "backend a: removed"}},
    {"backends.name", "\"web\"", {"backend a: name a -> web"}},
    {"backends.address", "\"[2001:db8::1]:81\"", {"backend a: address 10.0.0.1:80 -> [2001:db8::1]:81"}},
    {"backends.weight", "5", {"backend a: weight 1 -> 5"}},
    {"backends.max_connections", "7", {"backend a: max_connections 0 -> 7"}},
    {"backends.enabled", "false", {"backend a: enabled true -> false"}},
    {"backends.priority", "1", {"backend a: priority 0 -> 1"}},
    {"backends.zone", "\"eu-1a\"", {"backend a: zone \"\" -> eu-1a"}},
    {"backends.labels", "{role = \"primary\", rack = \"7\"}", {"backend a: labels {} -> {rack = 7, role = primary}"}},
    {"backends.options", "{token = \"secret\"}", {"backend a: options changed"}},
};

/// What a file comes to that sets one key and has one backend besides; "" sets none.
config::Config fileWith(const std::string& path, const std::string& value, const std::string& more = "") {
  std::map<std::string, std::string> backend{{"backends.id", "\"a\""}, {"backends.address", "\"10.0.0.1:80\""}};
  const bool of_backend = path.starts_with("backends.");
  if (of_backend) backend[path] = value;
  std::string text = "[[backends]]\n";
  const auto name = [](const std::string& of) { return of.substr(of.find('.') + 1); };
  for (const auto& [key, said] : backend) text += name(key) + " = " + said + "\n";
  if (!of_backend && !path.empty())
    text += "[" + path.substr(0, path.find('.')) + "]\n" + name(path) + " = " + value + "\n";
  auto loaded = config::parse(text + more, "test.toml", {});
  for (const auto& finding : loaded.findings) INFO(finding.line());
  REQUIRE(loaded.ok());
  return loaded.config;
}

}  // namespace

TEST_CASE("Equal configurations do not differ", "[app]") { CHECK(differences(typical(), typical()).empty()); }

TEST_CASE("Where something was said is no difference", "[app]") {
  CHECK(after([](auto& config) {
          config.pools.front().strategy.source = {"other.toml", 7, 1};
          config.pools.front().strategy.options[0].source = {"other.toml", 8, 1};
          config.pools.front().backends[0].source = {"other.toml", 9, 1};
          config.file = "other.toml";
        }).empty());
}

TEST_CASE("A reload is told of each key that there is, by its name with both values and without secrets", "[app]") {
  const auto without = fileWith("", "");
  for (const auto& path : config::knownPaths()) {
    INFO("a new key needs a case here: " + path);
    const auto found = std::find_if(kCases.begin(), kCases.end(), [&](const Case& one) { return one.path == path; });
    REQUIRE(found != kCases.end());
    const auto with = fileWith(path, found->value, found->more);
    CHECK(differences(without, with) == found->lines);
    CHECK_FALSE(differences(with, without).empty());
    CHECK(differences(with, with).empty());
  }
  CHECK(kCases.size() == config::knownPaths().size());
}

TEST_CASE("Numbers that differ in their last digit differ", "[app]") {
  CHECK(differences(fileWith("health.panic_threshold", "0.3333331"), fileWith("health.panic_threshold", "0.3333334")) ==
        Lines{"health.panic_threshold 0.3333331 -> 0.3333334"});
  CHECK(differences(fileWith("ejection.max_share", "0.1"), fileWith("ejection.max_share", "0.10000000000000002")) ==
        Lines{"ejection.max_share 0.1 -> 0.10000000000000002"});
  CHECK(differences(fileWith("proxy.idle_timeout", "3600000"), fileWith("proxy.idle_timeout", "3600001")) ==
        Lines{"proxy.idle_timeout 3600s -> 3600001ms"});
}

TEST_CASE("Lists that look alike when they are joined differ", "[app]") {
  CHECK_FALSE(
      differences(fileWith("plugins.directories", "[\"/a, /b\"]"), fileWith("plugins.directories", "[\"/a\", \"/b\"]"))
          .empty());
}

TEST_CASE("An option that is no number has not changed", "[app]") {
  CHECK(differences(fileWith("strategy.options", "{x = nan}"), fileWith("strategy.options", "{x = nan}")).empty());
}

TEST_CASE("Differences name each backend that came or went or changed", "[app]") {
  const auto lines = after([](auto& config) {
    auto changed = backend("b", "db.example");
    changed.name = "second";
    changed.port = 81;
    changed.weight = 5;
    changed.max_connections = 7;
    changed.enabled = false;
    config.pools.front().backends = {backend("c"), changed};
  });
  CHECK(lines == Lines{"backend c: added", "backend b: name b -> second",
                       "backend b: address 10.0.0.2:80 -> db.example:81", "backend b: weight 1 -> 5",
                       "backend b: max_connections 0 -> 7", "backend b: enabled true -> false", "backend a: removed"});
}

TEST_CASE("Backends in another order are a difference", "[app]") {
  CHECK(after([](auto& config) { std::swap(config.pools.front().backends[0], config.pools.front().backends[1]); }) ==
        Lines{"backends: another order"});
}

TEST_CASE("Options that changed are named without their values", "[app]") {
  CHECK(after([](auto& config) { config.pools.front().strategy.options[0].value = std::int64_t{3}; }) ==
        Lines{"strategy adaptive: options changed"});
  CHECK(after([](auto& config) {
          config.pools.front().health.checker.options.push_back({"password", std::string("secret"), {}});
        }) == Lines{"health.checker tcp: options changed"});
  CHECK(after([](auto& config) {
          config.metrics.sinks[0].options.push_back({"prefix", std::string("x"), {}});
        }) == Lines{"sink prometheus: options changed"});
}

TEST_CASE("The order of options makes no difference and their type does", "[app]") {
  const config::OptionValue one{"a", std::int64_t{1}, {}}, two{"b", true, {}}, real{"a", 1.0, {}};
  CHECK(config::sameChoice({"x", {}, {one, two}}, {"x", {}, {two, one}}));
  CHECK_FALSE(config::sameChoice({"x", {}, {one}}, {"x", {}, {real}}));
  CHECK_FALSE(config::sameChoice({"x", {}, {one}}, {"y", {}, {one}}));
}

TEST_CASE("Differences name pools and listeners", "[app]") {
  const auto with = [](const std::string& text) {
    auto loaded = config::parse(text, "test.toml", {});
    for (const auto& finding : loaded.findings) INFO(finding.line());
    REQUIRE(loaded.ok());
    return loaded.config;
  };
  const std::string web = "[[listeners]]\nname = \"web\"\naddress = \":1\"\npool = \"web\"\n";
  const std::string pool = "[pools.web]\nbackends = [{ id = \"a\", address = \"10.0.0.1:1\" }]\n";
  const auto before = with(web + pool);
  CHECK(differences(before, with(web + "backlog = 9\n" + pool)) == Lines{"listeners.web.backlog 4096 -> 9"});
  CHECK(differences(before, with(web + pool + "health.interval = \"2s\"\nstrategy = \"random_two\"\nretries = 1\n")) ==
        Lines{"pools.web.retries 2 -> 1", "pools.web.strategy adaptive -> random_two",
              "pools.web.health.interval 5s -> 2s"});
  CHECK(differences(before, with(web + pool + "strategy = { options = { x = 1 } }\n")) ==
        Lines{"pools.web.strategy adaptive: options changed"});
  CHECK(differences(before, with(web + "[pools.web]\nbackends = [{ id = \"a\", address = \"10.0.0.1:1\", weight = 2 }, "
                                       "\"10.0.0.2:1\"]\n")) ==
        Lines{"pool web: backend a: weight 1 -> 2", "pool web: backend 10.0.0.2:1: added"});
  const auto more = with(web + pool + "[[listeners]]\nname = \"pg\"\naddress = \":2\"\npool = \"db\"\n" +
                         "[pools.db]\nbackends = \"10.0.0.3:1\"\n");
  CHECK(differences(before, more) == Lines{"listener pg added", "pool db added"});
  CHECK(differences(more, before) == Lines{"listener pg removed", "pool db removed"});
}
