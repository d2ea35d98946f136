// SPDX-License-Identifier: MIT
#include "app/difference.h"

#include <catch2/catch.hpp>

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
  config.proxy.listen = {{"0.0.0.0:8080", {}}};
  config.admin = config::Listen{"127.0.0.1:9090", {}};
  config.strategy = {"adaptive", {}, {{"choices", std::int64_t{2}, {}}}};
  config.health.checker = {"tcp", {}, {}};
  config.metrics.sinks = {{"prometheus", {}, {}}};
  config.backends = {backend("a"), backend("b", "10.0.0.2")};
  return config;
}

/// What differs between a typical configuration and one that change was applied to.
template <class Change>
Lines after(Change change) {
  auto config = typical();
  change(config);
  return differences(typical(), config);
}

}  // namespace

TEST_CASE("Equal configurations do not differ", "[app]") {
  CHECK(differences(typical(), typical()).empty());
}

TEST_CASE("Where something was said is no difference", "[app]") {
  CHECK(after([](auto& config) {
          config.strategy.source = {"other.toml", 7, 1};
          config.strategy.options[0].source = {"other.toml", 8, 1};
          config.backends[0].source = {"other.toml", 9, 1};
          config.file = "other.toml";
        }).empty());
}

TEST_CASE("Each difference is one line with the key and both values", "[app]") {
  using config::Config;
  const auto one = [](auto change) {
    const auto lines = after(change);
    REQUIRE(lines.size() == 1);
    return lines[0];
  };
  CHECK(one([](Config& c) { c.runtime.metrics_cap = 5; }) == "runtime.metrics_cap 10000 -> 5");
  CHECK(one([](Config& c) { c.runtime.health_cap = 5; }) == "runtime.health_cap 1000 -> 5");
  CHECK(one([](Config& c) { c.runtime.drain_timeout = 1s; }) == "runtime.drain_timeout_millis 30s -> 1s");
  CHECK(one([](Config& c) { c.runtime.background_timeout = 1s; }) == "runtime.background_timeout_millis 10s -> 1s");
  CHECK(one([](Config& c) { c.runtime.accept_timeout = 1s; }) == "runtime.accept_timeout_millis 60s -> 1s");
  CHECK(one([](Config& c) { c.runtime.config_watch_interval = 1500ms; }) ==
        "runtime.config_watch_interval_millis 5s -> 1500ms");
  CHECK(one([](Config& c) { c.proxy.listen.push_back({"[::]:8080", {}}); }) ==
        "proxy.listen_address [0.0.0.0:8080] -> [0.0.0.0:8080, [::]:8080]");
  CHECK(one([](Config& c) { c.proxy.backlog = 9; }) == "proxy.backlog 4096 -> 9");
  CHECK(one([](Config& c) { c.proxy.max_connections = 9; }) == "proxy.max_connections 10000 -> 9");
  CHECK(one([](Config& c) { c.proxy.connect_timeout = 250ms; }) == "proxy.connect_timeout 5s -> 250ms");
  CHECK(one([](Config& c) { c.proxy.idle_timeout = 0s; }) == "proxy.idle_timeout 3600s -> 0s");
  CHECK(one([](Config& c) { c.proxy.tcp_keepalive = 0s; }) == "proxy.tcp_keepalive 60s -> 0s");
  CHECK(one([](Config& c) { c.proxy.retries = 0; }) == "proxy.retries 2 -> 0");
  CHECK(one([](Config& c) { c.proxy.resolve_interval = 1s; }) == "proxy.resolve_interval 10s -> 1s");
  CHECK(one([](Config& c) { c.strategy = {"round_robin", {}, {}}; }) == "strategy adaptive -> round_robin");
  CHECK(one([](Config& c) { c.health.checker.id = "http"; }) == "health.checker tcp -> http");
  CHECK(one([](Config& c) { c.health.interval = 1s; }) == "health.interval 5s -> 1s");
  CHECK(one([](Config& c) { c.health.fast_interval = 1s; }) == "health.fast_interval 0s -> 1s");
  CHECK(one([](Config& c) { c.health.down_interval = 1s; }) == "health.down_interval 0s -> 1s");
  CHECK(one([](Config& c) { c.health.timeout = 1s; }) == "health.timeout 2s -> 1s");
  CHECK(one([](Config& c) { c.health.rise = 1; }) == "health.rise 2 -> 1");
  CHECK(one([](Config& c) { c.health.fall = 1; }) == "health.fall 3 -> 1");
  CHECK(one([](Config& c) { c.metrics.interval = 1s; }) == "metrics.interval 10s -> 1s");
  CHECK(one([](Config& c) { c.metrics.sinks.clear(); }) == "metrics.sinks [prometheus] -> []");
  CHECK(one([](Config& c) { c.admin.reset(); }) == "admin.listen_address 127.0.0.1:9090 -> \"\"");
  CHECK(one([](Config& c) { c.plugin_directories = {"/p"}; }) == "plugins.directories [] -> [/p]");
  CHECK(one([](Config& c) { c.plugin_cache_directory = "/c"; }) == "plugins.cache_directory \"\" -> /c");
  CHECK(one([](Config& c) { c.log_levels.components["health"] = log::Level::kDebug; }) ==
        "log.level info -> info,health=debug");
  CHECK(one([](Config& c) { c.log_format = log::Format::kJson; }) == "log.format text -> json");
}

TEST_CASE("Differences name each backend that came or went or changed", "[app]") {
  const auto lines = after([](auto& config) {
    auto changed = backend("b", "db.example");
    changed.name = "second";
    changed.port = 81;
    changed.weight = 5;
    changed.max_connections = 7;
    changed.enabled = false;
    config.backends = {backend("c"), changed};
  });
  CHECK(lines == Lines{"backend c: added", "backend b: name b -> second", "backend b: address 10.0.0.2:80 -> db.example:81",
                       "backend b: weight 1 -> 5", "backend b: max_connections 0 -> 7",
                       "backend b: enabled true -> false", "backend a: removed"});
}

TEST_CASE("Backends in another order are a difference", "[app]") {
  CHECK(after([](auto& config) { std::swap(config.backends[0], config.backends[1]); }) ==
        Lines{"backends: another order"});
}

TEST_CASE("Options that changed are named without their values", "[app]") {
  CHECK(after([](auto& config) { config.strategy.options[0].value = std::int64_t{3}; }) ==
        Lines{"strategy adaptive: options changed"});
  CHECK(after([](auto& config) { config.health.checker.options.push_back({"password", std::string("secret"), {}}); }) ==
        Lines{"health.checker tcp: options changed"});
  CHECK(after([](auto& config) { config.metrics.sinks[0].options.push_back({"prefix", std::string("x"), {}}); }) ==
        Lines{"sink prometheus: options changed"});
}

TEST_CASE("The order of options makes no difference and their type does", "[app]") {
  const config::OptionValue one{"a", std::int64_t{1}, {}}, two{"b", true, {}}, real{"a", 1.0, {}};
  CHECK(sameChoice({"x", {}, {one, two}}, {"x", {}, {two, one}}));
  CHECK_FALSE(sameChoice({"x", {}, {one}}, {"x", {}, {real}}));
  CHECK_FALSE(sameChoice({"x", {}, {one}}, {"y", {}, {one}}));
}
