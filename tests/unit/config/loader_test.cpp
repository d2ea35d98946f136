// SPDX-License-Identifier: MIT
#include "support.h"

#include <catch2/catch.hpp>

#include <unistd.h>

using namespace lemonade;
using namespace lemonade::config;
using namespace lemonade::config::test;
using Catch::Contains;
using Catch::StartsWith;

TEST_CASE("The names that the admin listener answers to are names", "[config]") {
  const auto said = [](const std::string& hosts) {
    return parsed("[[backends]]\naddress = \"a:1\"\n[admin]\nhosts = " + hosts + "\n");
  };
  CHECK(said("\"lb.example\"").config.admin_hosts == std::vector<std::string>{"lb.example"});
  CHECK(said("[]").ok());
  CHECK_THAT(findingsOf(said("[\"http://lb.example\"]")), Contains("leave out the scheme"));
  CHECK_THAT(findingsOf(said("[\"10.0.0.1\", \"[::1]:80\"]")), Contains("leave out addresses"));
  CHECK_THAT(findingsOf(said("[\"lb.example:\"]")), Contains("a port from 1 to 65535"));
  CHECK_THAT(findingsOf(said("[\"lb.example:0\"]")), Contains("a port from 1 to 65535"));
  for (const char* name : {"a b", "*.example", "-a", "a/b", "*", "a..b"})
    CHECK_THAT(findingsOf(said("[\"" + std::string(name) + "\"]")), Contains("admin.hosts") && Contains("give a name"));
  CHECK_FALSE(said("[1]").ok());
}

TEST_CASE("A file with only a backend gets the defaults", "[config]") {
  const auto loaded = parsed(kBackend);
  CHECK(findingsOf(loaded) == "");
  CHECK(loaded.ok());
  const auto& config = loaded.config;
  CHECK(config.pools.front().strategy.id == "adaptive");
  CHECK(config.pools.front().health.checker.id == "tcp");
  REQUIRE(config.metrics.sinks.size() == 1);
  CHECK(config.metrics.sinks[0].id == "prometheus");
  REQUIRE(config.listeners.front().addresses.size() == 1);
  CHECK(config.listeners.front().addresses[0].address == "0.0.0.0:8080");
  REQUIRE(config.admin);
  CHECK(config.admin->address == "127.0.0.1:9090");
  REQUIRE(config.pools.front().backends.size() == 1);
  CHECK(config.pools.front().backends[0].id == "10.0.1.10:80");
  CHECK(config.pools.front().backends[0].name == "10.0.1.10:80");
  CHECK(config.pools.front().backends[0].weight == 1);
}

TEST_CASE("Every key of the file arrives", "[config]") {
  const auto loaded = parsed(R"(
[runtime]
workers = 3
metrics_cap = 11
health_cap = 12
drain_timeout_millis = 13
background_timeout_millis = "14ms"
accept_timeout_millis = 15
config_watch_interval_millis = 16
grace_millis = 2
[proxy]
listen_address = ["127.0.0.1:1", "[::1]:2"]
backlog = 17
max_connections = 18
connect_timeout = "19ms"
idle_timeout = "0s"
tcp_keepalive = "20s"
retries = 11
[strategy]
algorithm = "com.example.first"
[strategy.options]
flag = true
count = 22
share = 0.5
text = "t"
[[backends]]
id = 7
name = "seven"
address = "web:23"
weight = 24
max_connections = 25
enabled = false
[health]
checker = "http"
interval = 26
timeout = "27ms"
rise = 28
fall = 29
[health.options]
path = "/"
[metrics]
interval = "30ms"
sinks = ["log", "prometheus"]
[metrics.options.log]
verbose = true
[admin]
listen_address = ""
hosts = ["lb.example", "metrics:9090"]
[plugins]
directories = ["mine", "/opt/theirs"]
cache_directory = "cache"
[log]
level = "warn,health=debug"
format = "json"
)");
  CHECK_THAT(findingsOf(loaded), StartsWith("test.toml:26:1: warning: no backend can be picked"));
  const auto& config = loaded.config;
  CHECK(config.runtime.workers == 3);
  CHECK(config.runtime.metrics_cap == 11);
  CHECK(config.runtime.health_cap == 12);
  CHECK(config.runtime.grace == 2ms);
  CHECK(config.runtime.drain_timeout == 13ms);
  CHECK(config.runtime.background_timeout == 14ms);
  CHECK(config.runtime.accept_timeout == 15ms);
  CHECK(config.runtime.config_watch_interval == 16ms);
  REQUIRE(config.listeners.front().addresses.size() == 2);
  CHECK(config.listeners.front().addresses[1].address == "[::1]:2");
  CHECK(config.listeners.front().addresses[1].source.text() == "test.toml:12:34");
  CHECK(config.listeners.front().backlog == 17);
  CHECK(config.listeners.front().max_connections == 18);
  CHECK(config.pools.front().connect_timeout == 19ms);
  CHECK(config.listeners.front().idle_timeout == 0ms);
  CHECK(config.listeners.front().tcp_keepalive == 20s);
  CHECK(config.pools.front().retries == 11);
  CHECK(config.pools.front().strategy.id == "com.example.first");
  CHECK(config.pools.front().strategy.source.text() == "test.toml:20:13");
  REQUIRE(config.pools.front().strategy.options.size() == 4);
  CHECK(config.pools.front().strategy.options[0].key == "count");
  CHECK(std::get<std::int64_t>(config.pools.front().strategy.options[0].value) == 22);
  CHECK(config.pools.front().strategy.options[0].source.text() == "test.toml:23:9");
  CHECK(std::get<bool>(config.pools.front().strategy.options[1].value));
  CHECK(std::get<double>(config.pools.front().strategy.options[2].value) == 0.5);
  CHECK(std::get<std::string>(config.pools.front().strategy.options[3].value) == "t");
  REQUIRE(config.pools.front().backends.size() == 1);
  const auto& backend = config.pools.front().backends[0];
  CHECK(backend.id == "7");
  CHECK(backend.name == "seven");
  CHECK(backend.host == "web");
  CHECK(backend.port == 23);
  CHECK(backend.weight == 24);
  CHECK(backend.max_connections == 25);
  CHECK_FALSE(backend.enabled);
  CHECK(backend.address_source.text() == "test.toml:29:11");
  CHECK(config.pools.front().health.checker.id == "http");
  CHECK(config.pools.front().health.interval == 26ms);
  CHECK(config.pools.front().health.timeout == 27ms);
  CHECK(config.pools.front().health.rise == 28);
  CHECK(config.pools.front().health.fall == 29);
  REQUIRE(config.pools.front().health.checker.options.size() == 1);
  CHECK(config.metrics.interval == 30ms);
  REQUIRE(config.metrics.sinks.size() == 2);
  CHECK(config.metrics.sinks[0].options.size() == 1);
  CHECK(config.metrics.sinks[1].options.empty());
  CHECK_FALSE(config.admin);
  CHECK(config.admin_hosts == std::vector<std::string>{"lb.example", "metrics:9090"});
  CHECK(config.plugin_directories == std::vector<std::string>{"mine", "/opt/theirs"});
  CHECK(config.plugin_cache_directory == "cache");
  CHECK(config.log_levels.all == log::Level::kWarning);
  CHECK(config.log_levels.components.at("health") == log::Level::kDebug);
  CHECK(config.log_format == log::Format::kJson);
}

TEST_CASE("All that is wrong is reported in the order of the file", "[config]") {
  const auto loaded = parsed(R"([proxy]
backlogs = 5
max_connections = -1
connect_timeout = 1.5
[healt]
interval = "5s"
[[backends]]
address = "web"
weight = 65536
enabled = 1
)");
  CHECK_FALSE(loaded.ok());
  CHECK(findingsOf(loaded) ==
        "test.toml:2:1: unknown key proxy.backlogs; did you mean backlog?\n"
        "test.toml:3:19: proxy.max_connections is -1; give an integer from 1 to 10000000\n"
        "test.toml:4:19: proxy.connect_timeout is 1.5; give \"10s\", \"500ms\", \"2m\" or integer "
        "milliseconds, from 1ms to 1h\n"
        "test.toml:5:2: unknown key healt; did you mean health?\n"
        "test.toml:8:11: backends.address is \"web\"; give the port as well: \"host:port\"\n"
        "test.toml:9:10: backends.weight is 65536; give an integer from 0 to 65535\n"
        "test.toml:10:11: backends.enabled is 1; give true or false\n");
}

TEST_CASE("The strategy has a short form", "[config]") {
  const auto loaded = parsed("strategy = \"round_robin\"\n" + kBackend);
  CHECK(findingsOf(loaded) == "");
  CHECK(loaded.config.pools.front().strategy.id == "round_robin");
  CHECK_THAT(findingsOf(parsed("strategy = 1\n" + kBackend)), Contains("test.toml:1:12: strategy is a table"));
}

TEST_CASE("A key outside of its table is told where it belongs", "[config]") {
  CHECK_THAT(findingsOf(parsed("backlog = 1\n" + kBackend)), Contains("it belongs under [proxy]"));
  CHECK_THAT(findingsOf(parsed("listen_address = \":1\"\n" + kBackend)), Contains("[proxy] or [admin]"));
}

TEST_CASE("A table in the place of a value and a value in the place of a table are refused", "[config]") {
  const auto text =
      findingsOf(parsed("proxy = 1\nbackends = 2\n[runtime]\nworkers = {}\n[strategy]\noptions = 1\n"
                        "[metrics]\noptions = { log = 3 }\n"));
  CHECK_THAT(text, Contains("test.toml:1:9: proxy is a table; write [proxy]"));
  CHECK_THAT(text, Contains("test.toml:2:12: backends is a list of tables; write [[backends]]"));
  CHECK_THAT(text, Contains("test.toml:4:11: runtime.workers is a table; give an integer"));
  CHECK_THAT(text, Contains("test.toml:6:11: strategy.options is 1; give a table of options"));
  CHECK_THAT(text, Contains("test.toml:8:19: metrics.options.log is 3; give a table of options"));
}

TEST_CASE("An option that no plugin can take is refused", "[config]") {
  CHECK_THAT(findingsOf(parsed(kBackend + "[strategy.options]\nlist = [1]\nday = 2026-11-23\n")),
             Contains("test.toml:4:8: strategy.options.list is a list") &&
                 Contains("test.toml:5:7: strategy.options.day is a date or time"));
}

TEST_CASE("Backends need an address and an id of their own", "[config]") {
  CHECK_THAT(findingsOf(parsed("")), Contains("test.toml:1:1: there are no backends"));
  CHECK_THAT(findingsOf(parsed("backends = []\n")), Contains("test.toml:1:12: there are no backends"));
  CHECK_THAT(findingsOf(parsed("[[backends]]\nid = 1\n")), Contains("test.toml:1:1: a backend has no address"));
  CHECK_THAT(findingsOf(parsed("[[backends]]\nid = \"\"\naddress = \"a:1\"\n")),
             Contains("test.toml:2:6: backends.id"));
  const auto twice = parsed("[[backends]]\nid = 1\naddress = \"a:1\"\n[[backends]]\nid = \"1\"\naddress = \"b:1\"\n");
  CHECK_THAT(findingsOf(twice), Contains("test.toml:4:1: backend id \"1\" is taken by the one at test.toml:1:1"));
}

TEST_CASE("A backend with a bad address is reported once and left out", "[config]") {
  const auto loaded = parsed("[[backends]]\naddress = \"a\"\n[[backends]]\naddress = \"b\"\n");
  CHECK(loaded.findings.size() == 2);
  CHECK(loaded.config.pools.front().backends.empty());
}

TEST_CASE("Two backends with one address are a warning", "[config]") {
  const auto loaded = parsed("[[backends]]\nid = 1\naddress = \"a:1\"\n[[backends]]\nid = 2\naddress = \"a:1\"\n");
  CHECK(loaded.ok());
  CHECK_THAT(findingsOf(loaded), Contains("test.toml:6:11: warning: backend \"2\" has the address of backend \"1\""));
}

TEST_CASE("A stop that is shorter than the drain is a warning", "[config]") {
  const auto loaded = parsed("[runtime]\ndrain_timeout_millis = 2000\naccept_timeout_millis = 1000\n" + kBackend);
  CHECK(loaded.ok());
  CHECK_THAT(findingsOf(loaded), Contains("test.toml:3:25: warning: runtime.accept_timeout_millis (1s)"));
  CHECK_THAT(findingsOf(parsed("[runtime]\ndrain_timeout_millis = 90000\n" + kBackend)),
             Contains("test.toml:2:24: warning"));
  CHECK_THAT(findingsOf(parsed("[runtime]\ngrace_millis = 40000\n" + kBackend)),
             Contains("test.toml:2:16: warning") && Contains("than runtime.grace_millis (40s) and the drain together"));
  CHECK(findingsOf(parsed("[runtime]\ngrace_millis = 30000\n" + kBackend)) == "");
}

TEST_CASE("No checker goes with backends that are up and without options only", "[config]") {
  const auto none = parsed("[health]\nchecker = \"none\"\n" + kBackend);
  CHECK(none.ok());
  CHECK_FALSE(none.config.pools.front().health.hasChecker());
  const auto never_up = parsed("[health]\nchecker = \"none\"\ninitial = \"check\"\n" + kBackend);
  CHECK_FALSE(never_up.ok());
  CHECK_THAT(findingsOf(never_up),
             Contains("test.toml:3:11: health.initial is \"check\"") && Contains("choose a checker, or \"up\""));
  CHECK_THAT(findingsOf(parsed("[health]\nchecker = \"none\"\n[health.options]\npath = \"/\"\n" + kBackend)),
             Contains("test.toml:4:8: health.options.path: there is no checker to take it"));
  CHECK_THAT(findingsOf(parsed("[health]\ninitial = true\n" + kBackend)),
             Contains("give \"up\", \"down\" or \"check\""));
}

TEST_CASE("Options for a sink that is not in use are a warning", "[config]") {
  const auto loaded = parsed(kBackend + "[metrics.options.promethus]\nx = 1\n");
  CHECK(loaded.ok());
  CHECK_THAT(findingsOf(loaded), Contains("warning: options for a sink") && Contains("did you mean prometheus?"));
}

TEST_CASE("A listening address may be used once", "[config]") {
  CHECK_THAT(findingsOf(parsed("[proxy]\nlisten_address = [\":1\", \"*:1\"]\n" + kBackend)),
             Contains("test.toml:2:25: 0.0.0.0:1 is listened on already"));
  CHECK_THAT(findingsOf(parsed("[proxy]\nlisten_address = \"127.0.0.1:9090\"\n" + kBackend)),
             Contains("127.0.0.1:9090 is listened on already"));
  CHECK(parsed("[proxy]\nlisten_address = [\":0\", \":0\"]\n" + kBackend).ok());
  CHECK_THAT(findingsOf(parsed("[proxy]\nlisten_address = []\n" + kBackend)), Contains("give at least one address"));
}

TEST_CASE("tcp_keepalive is a duration or a boolean", "[config]") {
  CHECK(parsed("[proxy]\ntcp_keepalive = true\n" + kBackend).config.listeners.front().tcp_keepalive == 60s);
  CHECK(parsed("[proxy]\ntcp_keepalive = false\n" + kBackend).config.listeners.front().tcp_keepalive == 0s);
  CHECK(parsed("[proxy]\ntcp_keepalive = 5000\n" + kBackend).config.listeners.front().tcp_keepalive == 5s);
  CHECK_FALSE(parsed("[proxy]\ntcp_keepalive = \"1500ms\"\n" + kBackend).ok());
  CHECK_FALSE(parsed("[proxy]\ntcp_keepalive = \"10h\"\n" + kBackend).ok());
}

TEST_CASE("Text that is no TOML is one clear error", "[config]") {
  const auto loaded = parsed("[proxy]\nbacklog = = 1\n");
  REQUIRE(loaded.findings.size() == 1);
  CHECK_THAT(findingsOf(loaded), Contains("test.toml:2:11: no valid TOML: "));
  CHECK_FALSE(parsed("[proxy]\nx = \"\xff\xfe\"\n").ok());
  CHECK_FALSE(parsed(std::string("[proxy]\0", 8)).ok());
  CHECK_FALSE(parsed("x = " + std::string(100'000, '[')).ok());
}

TEST_CASE("A finding stays on one line whatever the file holds", "[config]") {
  for (const auto& finding : parsed("\"a\\nb\" = 1\n[log]\nformat = \"x\\n\\u001by\"\n" + kBackend).findings) {
    CHECK_THAT(finding.line(), !Contains("\n") && !Contains("\x1b"));
  }
}

TEST_CASE("Files that cannot be configurations are named", "[config]") {
  const auto errorOf = [](const std::string& file) { return findingsOf(load({.file = file})); };
  CHECK(errorOf("/nonexistent/lemonade.toml") ==
        "/nonexistent/lemonade.toml: cannot be opened: No such file or directory\n");
  CHECK(errorOf("/proc") == "/proc: is a directory; give the configuration file in it\n");
  CHECK(errorOf("/dev/zero") == "/dev/zero: is a device; give a configuration file\n");
}

TEST_CASE("Plugin directories come from the command line then the environment then the file", "[config]") {
  const auto loaded = parse(
      kBackend + "[plugins]\ndirectories = [\"../mine\", \"/theirs\"]\n", "/etc/lemonade/lb.toml",
      {.file = "/etc/lemonade/lb.toml", .environment = {{"LEMONADE_LB_PLUGIN_DIRS", "a:/b"}}, .plugin_dirs = {"c"}});
  CHECK(findingsOf(loaded) == "");
  CHECK(loaded.config.plugin_directories == std::vector<std::string>{"c", "a", "/b", "/etc/mine", "/theirs"});
}

TEST_CASE("Relative paths of command line and environment start where the balancer did", "[config]") {
  const auto loaded =
      parse(kBackend + "[plugins]\ndirectories = [\"mine\"]\n", "/etc/lemonade/lb.toml",
            {.file = "/etc/lemonade/lb.toml",
             .environment = {{"LEMONADE_LB_PLUGIN_DIRS", "a:/b"}, {"LEMONADE_LB_ADMIN_TOKEN_FILE", "t"}},
             .plugin_dirs = {"c"},
             .folder = "/home/start"});
  CHECK(findingsOf(loaded) == "");
  CHECK(loaded.config.plugin_directories ==
        std::vector<std::string>{"/home/start/c", "/home/start/a", "/b", "/etc/lemonade/mine"});
  CHECK(loaded.config.admin_access.token_file == "/home/start/t");
  CHECK(loaded.config.plugin_cache_directory == "");
}
