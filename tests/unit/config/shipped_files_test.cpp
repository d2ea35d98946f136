// SPDX-License-Identifier: MIT
//
// The files under config/ and the page that documents them say what the code does.
#include "config/keys.h"
#include "support.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <regex>

using namespace lemonade;
using namespace lemonade::config;
using namespace lemonade::config::test;
using Catch::Contains;

namespace {

Loaded loadShipped(const std::string& name) { return load({.file = (kSource / "config" / name).string()}); }

bool same(const PluginChoice& a, const PluginChoice& b) { return a.id == b.id && a.options.size() == b.options.size(); }

}  // namespace

TEST_CASE("production.toml of the deployment guide works unchanged", "[config]") {
  const auto loaded = loadShipped("production.toml");
  REQUIRE(findingsOf(loaded) == "");
  const auto& config = loaded.config;
  CHECK(config.runtime.metrics_cap == 10'000);
  CHECK(config.runtime.health_cap == 1'000);
  CHECK(config.runtime.drain_timeout == 30s);
  CHECK(config.runtime.background_timeout == 60s);
  CHECK(config.runtime.accept_timeout == 120s);
  CHECK(config.runtime.config_watch_interval == 5s);
  CHECK(config.proxy.listen.at(0).address == "0.0.0.0:8080");
  CHECK(config.proxy.max_connections == 100'000);
  CHECK(config.strategy.id == "adaptive");
  REQUIRE(config.backends.size() == 3);
  CHECK(config.backends[2].id == "2");
  CHECK(config.backends[2].name == "backend-3");
  CHECK(config.backends[2].host == "10.0.1.12");
  CHECK(config.backends[2].weight == 10);
  CHECK(config.health.interval == 10s);
  CHECK(config.health.timeout == 3s);
  CHECK(config.metrics.interval == 30s);
}

TEST_CASE("quickstart.toml has three workers and stays on this machine", "[config]") {
  const auto loaded = loadShipped("quickstart.toml");
  REQUIRE(findingsOf(loaded) == "");
  REQUIRE(loaded.config.backends.size() == 3);
  CHECK(loaded.config.backends[0].name == "worker-1");
  CHECK(loaded.config.backends[2].port == 18'083);
  CHECK(loaded.config.proxy.listen.at(0).address == "127.0.0.1:8080");
  CHECK(loaded.config.admin->address == "127.0.0.1:9090");
}

TEST_CASE("lemonade.toml shows the defaults", "[config]") {
  const auto loaded = loadShipped("lemonade.toml");
  REQUIRE(findingsOf(loaded) == "");
  const auto& shown = loaded.config;
  const auto real = defaultConfig();
  CHECK(shown.runtime.workers == real.runtime.workers);
  CHECK(shown.runtime.metrics_cap == real.runtime.metrics_cap);
  CHECK(shown.runtime.health_cap == real.runtime.health_cap);
  CHECK(shown.runtime.grace == real.runtime.grace);
  CHECK(shown.runtime.drain_timeout == real.runtime.drain_timeout);
  CHECK(shown.runtime.background_timeout == real.runtime.background_timeout);
  CHECK(shown.runtime.accept_timeout == real.runtime.accept_timeout);
  CHECK(shown.runtime.config_watch_interval == real.runtime.config_watch_interval);
  REQUIRE(shown.proxy.listen.size() == real.proxy.listen.size());
  CHECK(shown.proxy.listen[0].address == real.proxy.listen[0].address);
  CHECK(shown.proxy.backlog == real.proxy.backlog);
  CHECK(shown.proxy.max_connections == real.proxy.max_connections);
  CHECK(shown.proxy.connect_timeout == real.proxy.connect_timeout);
  CHECK(shown.proxy.idle_timeout == real.proxy.idle_timeout);
  CHECK(shown.proxy.half_close_timeout == real.proxy.half_close_timeout);
  CHECK(shown.proxy.tcp_keepalive == real.proxy.tcp_keepalive);
  CHECK(shown.proxy.tcp_keepalive_interval == real.proxy.tcp_keepalive_interval);
  CHECK(shown.proxy.tcp_keepalive_count == real.proxy.tcp_keepalive_count);
  CHECK(shown.proxy.tcp_user_timeout == real.proxy.tcp_user_timeout);
  CHECK(shown.proxy.retries == real.proxy.retries);
  CHECK(shown.proxy.resolve_interval == real.proxy.resolve_interval);
  CHECK(shown.proxy.queue_timeout == real.proxy.queue_timeout);
  CHECK(same(shown.strategy, real.strategy));
  CHECK(same(shown.health.checker, real.health.checker));
  CHECK(shown.health.interval == real.health.interval);
  CHECK(shown.health.fast_interval == real.health.fast_interval);
  CHECK(shown.health.down_interval == real.health.down_interval);
  CHECK(shown.health.timeout == real.health.timeout);
  CHECK(shown.health.rise == real.health.rise);
  CHECK(shown.health.fall == real.health.fall);
  CHECK(shown.health.slow_start == real.health.slow_start);
  CHECK(shown.health.slow_start_aggression == real.health.slow_start_aggression);
  CHECK(shown.health.panic_threshold == real.health.panic_threshold);
  CHECK(shown.health.close_sessions_when_down == real.health.close_sessions_when_down);
  CHECK(shown.ejection.enabled == real.ejection.enabled);
  CHECK(shown.ejection.consecutive_failures == real.ejection.consecutive_failures);
  CHECK(shown.ejection.base_time == real.ejection.base_time);
  CHECK(shown.ejection.max_time == real.ejection.max_time);
  CHECK(shown.ejection.max_share == real.ejection.max_share);
  CHECK(shown.ejection.unanswered_timeout == real.ejection.unanswered_timeout);
  CHECK(shown.metrics.interval == real.metrics.interval);
  REQUIRE(shown.metrics.sinks.size() == real.metrics.sinks.size());
  CHECK(same(shown.metrics.sinks[0], real.metrics.sinks[0]));
  CHECK(shown.admin->address == real.admin->address);
  CHECK(shown.admin_hosts == real.admin_hosts);
  CHECK(shown.plugin_directories == real.plugin_directories);
  CHECK(shown.plugin_cache_directory == real.plugin_cache_directory);
  CHECK(shown.log_levels.all == real.log_levels.all);
  CHECK(shown.log_levels.components == real.log_levels.components);
  CHECK(shown.log_format == real.log_format);
  REQUIRE(shown.backends.size() == 1);
  const Backend backend;
  CHECK(shown.backends[0].weight == backend.weight);
  CHECK(shown.backends[0].max_connections == backend.max_connections);
  CHECK(shown.backends[0].enabled == backend.enabled);
  CHECK(shown.backends[0].priority == backend.priority);
}

TEST_CASE("lemonade.toml shows every key", "[config]") {
  const auto root = toml::parse(contentOf(kSource / "config/lemonade.toml"));
  for (const auto& path : knownPaths()) {
    INFO(path);
    const auto name = path.substr(path.find('.') + 1);
    const bool of_backend = path.starts_with("backends.");
    CHECK((of_backend ? root["backends"][0][name].node() != nullptr : root.at_path(path).node() != nullptr));
  }
}

TEST_CASE("docs/configuration.md documents every key and every variable", "[config]") {
  const auto page = contentOf(kSource / "docs/configuration.md");
  for (const auto& key : configKeys()) {
    CHECK_THAT(page, Contains("\n### [" + key.section + "]\n"));
    CHECK_THAT(page, Contains("\n| `" + key.name + "` |"));
  }
  for (const auto& key : backendKeys()) CHECK_THAT(page, Contains("\n| `" + key.name + "` |"));
  for (const auto& variable : knownVariables()) CHECK_THAT(page, Contains("\n| `" + variable + "` |"));
}

TEST_CASE("docs/configuration.md names no key or variable that does not exist", "[config]") {
  const auto page = contentOf(kSource / "docs/configuration.md");
  auto known = knownVariables();
  for (const auto* of_worker : {"listen_address", "service_name", "work_delay_ms"}) known.emplace_back(of_worker);
  for (const auto& path : knownPaths()) known.push_back(path.substr(path.find('.') + 1));
  const std::regex row("\n\\| `([A-Za-z_]+)` \\|");
  std::size_t rows = 0;
  for (std::sregex_iterator found(page.begin(), page.end(), row), end; found != end; ++found, ++rows) {
    const auto name = (*found)[1].str();
    INFO(name);
    CHECK(std::find(known.begin(), known.end(), name) != known.end());
  }
  CHECK(rows >= known.size() - 3);
}
