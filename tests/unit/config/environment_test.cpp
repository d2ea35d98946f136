// SPDX-License-Identifier: MIT
#include "support.h"

#include <catch2/catch.hpp>

using namespace lemonade;
using namespace lemonade::config;
using namespace lemonade::config::test;
using Catch::Contains;

TEST_CASE("The environment alone is enough to run", "[config]") {
  const auto loaded = fromEnvironment({{"LEMONADE_LB_BACKEND_ADDRESSES", "10.0.1.10:8080, [::1]:81,web:82"},
                                       {"LEMONADE_LB_LISTEN_ADDRESS", "0.0.0.0:8080,[::]:8080"},
                                       {"LEMONADE_LB_STRATEGY", "least_connections"},
                                       {"LEMONADE_LB_MAX_CONNECTIONS", "100000"}});
  REQUIRE(findingsOf(loaded) == "");
  const auto& config = loaded.config;
  REQUIRE(config.pools.front().backends.size() == 3);
  CHECK(config.pools.front().backends[0].id == "0");
  CHECK(config.pools.front().backends[2].id == "2");
  CHECK(config.pools.front().backends[1].host == "::1");
  CHECK(config.pools.front().backends[1].address_source.text() == "LEMONADE_LB_BACKEND_ADDRESSES");
  REQUIRE(config.listeners.front().addresses.size() == 2);
  CHECK(config.pools.front().strategy.id == "least_connections");
  CHECK(config.listeners.front().max_connections == 100'000);
  CHECK(config.file.empty());
}

TEST_CASE("Without a file and without backends the mend is named", "[config]") {
  CHECK_THAT(findingsOf(fromEnvironment({})), Contains("set LEMONADE_LB_BACKEND_ADDRESSES"));
}

TEST_CASE("Each variable wins over its key in the file", "[config]") {
  const auto file = R"(
strategy = "round_robin"
[runtime]
metrics_cap = 1
health_cap = 1
grace_millis = 1
drain_timeout_millis = 1
background_timeout_millis = 1
accept_timeout_millis = 1
config_watch_interval_millis = 100
[proxy]
listen_address = ":1"
max_connections = 1
[health]
interval = 100
timeout = 1
[metrics]
interval = 100
[admin]
listen_address = ":2"
[log]
level = "error"
format = "text"
[[backends]]
address = "file:1"
)";
  const auto loaded = parsed(file, {{"LEMONADE_LB_LISTEN_ADDRESS", ":8"},
                                    {"LEMONADE_LB_STRATEGY", "adaptive"},
                                    {"LEMONADE_LB_BACKEND_ADDRESSES", "variable:1"},
                                    {"LEMONADE_LB_MAX_CONNECTIONS", "11"},
                                    {"LEMONADE_LB_METRICS_CAP", "12"},
                                    {"LEMONADE_LB_HEALTH_CAP", "13"},
                                    {"LEMONADE_LB_GRACE_MS", "2"},
                                    {"LEMONADE_LB_DRAIN_TIMEOUT_MS", "14"},
                                    {"LEMONADE_LB_BACKGROUND_TIMEOUT_MS", "15"},
                                    {"LEMONADE_LB_ACCEPT_TIMEOUT_MS", "16"},
                                    {"LEMONADE_LB_HEALTH_INTERVAL_MS", "17"},
                                    {"LEMONADE_LB_HEALTH_TIMEOUT_MS", "18"},
                                    {"LEMONADE_LB_METRICS_INTERVAL_MS", "19"},
                                    {"LEMONADE_LB_CONFIG_WATCH_INTERVAL_MS", "20ms"},
                                    {"LEMONADE_LB_ADMIN_ADDRESS", ":9"},
                                    {"LEMONADE_LB_ADMIN_HOSTS", "lb.example,metrics:9090"},
                                    {"LEMONADE_LOG", "debug"},
                                    {"LEMONADE_LOG_FORMAT", "json"}});
  REQUIRE(findingsOf(loaded) == "");
  const auto& config = loaded.config;
  CHECK(config.listeners.front().addresses.at(0).address == "0.0.0.0:8");
  CHECK(config.pools.front().strategy.id == "adaptive");
  REQUIRE(config.pools.front().backends.size() == 1);
  CHECK(config.pools.front().backends[0].host == "variable");
  CHECK(config.listeners.front().max_connections == 11);
  CHECK(config.runtime.metrics_cap == 12);
  CHECK(config.runtime.health_cap == 13);
  CHECK(config.runtime.grace == 2ms);
  CHECK(config.runtime.drain_timeout == 14ms);
  CHECK(config.runtime.background_timeout == 15ms);
  CHECK(config.runtime.accept_timeout == 16ms);
  CHECK(config.pools.front().health.interval == 17ms);
  CHECK(config.pools.front().health.timeout == 18ms);
  CHECK(config.metrics.interval == 19ms);
  CHECK(config.runtime.config_watch_interval == 20ms);
  REQUIRE(config.admin);
  CHECK(config.admin->address == "0.0.0.0:9");
  CHECK(config.admin_hosts == std::vector<std::string>{"lb.example", "metrics:9090"});
  CHECK(config.log_levels.all == log::Level::kDebug);
  CHECK(config.log_format == log::Format::kJson);
}

TEST_CASE("An empty variable counts as unset except for the admin address", "[config]") {
  const auto loaded = parsed(kBackend, {{"LEMONADE_LB_LISTEN_ADDRESS", ""},
                                        {"LEMONADE_LB_BACKEND_ADDRESSES", ""},
                                        {"LEMONADE_LB_MAX_CONNECTIONS", ""},
                                        {"LEMONADE_LOG", ""},
                                        {"LEMONADE_LB_ADMIN_ADDRESS", ""}});
  CHECK(findingsOf(loaded) == "");
  CHECK(loaded.config.pools.front().backends.size() == 1);
  CHECK_FALSE(loaded.config.admin);
}

TEST_CASE("Errors name the variable", "[config]") {
  const auto text = findingsOf(parsed(kBackend, {{"LEMONADE_LB_MAX_CONNECTIONS", "many"},
                                                 {"LEMONADE_LB_DRAIN_TIMEOUT_MS", "-1"},
                                                 {"LEMONADE_LB_HEALTH_INTERVAL_MS", "5 s"},
                                                 {"LEMONADE_LB_BACKEND_ADDRESSES", "a:1,b"},
                                                 {"LEMONADE_LOG", "info,health=loud"},
                                                 {"LEMONADE_LOG_FORMAT", "xml"}}));
  CHECK_THAT(text, Contains("LEMONADE_LB_MAX_CONNECTIONS: proxy.max_connections is \"many\"; give an integer"));
  CHECK_THAT(text, Contains("LEMONADE_LB_DRAIN_TIMEOUT_MS: runtime.drain_timeout_millis is -1; give"));
  CHECK_THAT(text, Contains("LEMONADE_LB_HEALTH_INTERVAL_MS: health.interval is \"5 s\""));
  CHECK_THAT(text, Contains("LEMONADE_LB_BACKEND_ADDRESSES: backends.address is \"b\"; give the port as well"));
  CHECK_THAT(text, Contains("LEMONADE_LOG: log.level: unknown log level \"loud\""));
  CHECK_THAT(text, Contains("LEMONADE_LOG_FORMAT: log.format is \"xml\""));
}

TEST_CASE("An unknown variable of ours is a warning with the nearest known one", "[config]") {
  const auto loaded = parsed(kBackend, {{"LEMONADE_LB_STRATEGIE", "x"}, {"LEMONADE_WORKER_NAME", "x"}, {"PATH", "x"}});
  CHECK(loaded.ok());
  CHECK(findingsOf(loaded) == "LEMONADE_LB_STRATEGIE: warning: unknown variable; did you mean LEMONADE_LB_STRATEGY?\n");
}

TEST_CASE("RUST_LOG is read where LEMONADE_LOG is unset", "[config]") {
  CHECK(parsed(kBackend, {{"RUST_LOG", "info,lemonade_load_balancer=debug"}}).config.log_levels.all ==
        log::Level::kDebug);
  CHECK(parsed(kBackend, {{"RUST_LOG", "debug"}, {"LEMONADE_LOG", "warn"}}).config.log_levels.all ==
        log::Level::kWarning);
  const auto foreign = parsed(kBackend, {{"RUST_LOG", "my_crate[span]"}});
  CHECK(foreign.ok());
  CHECK_THAT(findingsOf(foreign), Contains("RUST_LOG: warning: "));
}

TEST_CASE("Options of another algorithm than the chosen one are dropped with a warning", "[config]") {
  const auto file = kBackend + "[strategy]\nalgorithm = \"a\"\n[strategy.options]\nx = 1\n";
  const auto other = parsed(file, {{"LEMONADE_LB_STRATEGY", "b"}});
  CHECK(other.ok());
  CHECK(other.config.pools.front().strategy.options.empty());
  CHECK_THAT(findingsOf(other), Contains("LEMONADE_LB_STRATEGY: warning: strategy.options are those of a"));
  CHECK(parsed(file, {{"LEMONADE_LB_STRATEGY", "a"}}).config.pools.front().strategy.options.size() == 1);
}
