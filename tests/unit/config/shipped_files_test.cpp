// SPDX-License-Identifier: MIT
//
// The files under config/ and the page that documents them say what the code does.
#include "config/environment.h"
#include "config/keys.h"
#include "support.h"

#include <toml++/toml.h>
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
  CHECK(config.listeners.front().addresses.at(0).address == "0.0.0.0:8080");
  CHECK(config.listeners.front().max_connections == 100'000);
  CHECK(config.pools.front().strategy.id == "adaptive");
  REQUIRE(config.pools.front().backends.size() == 3);
  CHECK(config.pools.front().backends[2].id == "2");
  CHECK(config.pools.front().backends[2].name == "backend-3");
  CHECK(config.pools.front().backends[2].host == "10.0.1.12");
  CHECK(config.pools.front().backends[2].weight == 10);
  CHECK(config.pools.front().health.interval == 10s);
  CHECK(config.pools.front().health.timeout == 3s);
  CHECK(config.metrics.interval == 30s);
}

TEST_CASE("quickstart.toml has three workers and stays on this machine", "[config]") {
  const auto loaded = loadShipped("quickstart.toml");
  REQUIRE(findingsOf(loaded) == "");
  REQUIRE(loaded.config.pools.front().backends.size() == 3);
  CHECK(loaded.config.pools.front().backends[0].name == "worker-1");
  CHECK(loaded.config.pools.front().backends[2].port == 18'083);
  CHECK(loaded.config.listeners.front().addresses.at(0).address == "127.0.0.1:8080");
  CHECK(loaded.config.admin->address == "127.0.0.1:9090");
}

TEST_CASE("lemonade.toml shows the defaults", "[config]") {
  const auto loaded = loadShipped("lemonade.toml");
  REQUIRE(findingsOf(loaded) == "");
  const auto& shown = loaded.config;
  const auto real = defaultConfig();
  const auto& shown_pool = shown.pools.front();
  const auto& shown_listener = shown.listeners.front();
  const auto& real_pool = real.pools.front();
  const auto& real_listener = real.listeners.front();
  CHECK(shown.runtime.workers == real.runtime.workers);
  CHECK(shown.runtime.metrics_cap == real.runtime.metrics_cap);
  CHECK(shown.runtime.health_cap == real.runtime.health_cap);
  CHECK(shown.runtime.grace == real.runtime.grace);
  CHECK(shown.runtime.drain_timeout == real.runtime.drain_timeout);
  CHECK(shown.runtime.background_timeout == real.runtime.background_timeout);
  CHECK(shown.runtime.accept_timeout == real.runtime.accept_timeout);
  CHECK(shown.runtime.config_watch_interval == real.runtime.config_watch_interval);
  REQUIRE(shown_listener.addresses.size() == real_listener.addresses.size());
  CHECK(shown_listener.addresses[0].address == real_listener.addresses[0].address);
  CHECK(shown_listener.backlog == real_listener.backlog);
  CHECK(shown_listener.max_connections == real_listener.max_connections);
  CHECK(shown_pool.connect_timeout == real_pool.connect_timeout);
  CHECK(shown_listener.idle_timeout == real_listener.idle_timeout);
  CHECK(shown_listener.half_close_timeout == real_listener.half_close_timeout);
  CHECK(shown_listener.tcp_keepalive == real_listener.tcp_keepalive);
  CHECK(shown_listener.tcp_keepalive_interval == real_listener.tcp_keepalive_interval);
  CHECK(shown_listener.tcp_keepalive_count == real_listener.tcp_keepalive_count);
  CHECK(shown_listener.tcp_user_timeout == real_listener.tcp_user_timeout);
  CHECK(shown_pool.retries == real_pool.retries);
  CHECK(shown_pool.resolve_interval == real_pool.resolve_interval);
  CHECK(shown_pool.queue_timeout == real_pool.queue_timeout);
  CHECK(same(shown_pool.strategy, real_pool.strategy));
  CHECK(same(shown_pool.health.checker, real_pool.health.checker));
  CHECK(shown_pool.health.interval == real_pool.health.interval);
  CHECK(shown_pool.health.fast_interval == real_pool.health.fast_interval);
  CHECK(shown_pool.health.down_interval == real_pool.health.down_interval);
  CHECK(shown_pool.health.timeout == real_pool.health.timeout);
  CHECK(shown_pool.health.rise == real_pool.health.rise);
  CHECK(shown_pool.health.fall == real_pool.health.fall);
  CHECK(shown_pool.health.slow_start == real_pool.health.slow_start);
  CHECK(shown_pool.health.slow_start_aggression == real_pool.health.slow_start_aggression);
  CHECK(shown_pool.health.panic_threshold == real_pool.health.panic_threshold);
  CHECK(shown_pool.health.close_sessions_when_down == real_pool.health.close_sessions_when_down);
  CHECK(shown_pool.ejection.enabled == real_pool.ejection.enabled);
  CHECK(shown_pool.ejection.consecutive_failures == real_pool.ejection.consecutive_failures);
  CHECK(shown_pool.ejection.base_time == real_pool.ejection.base_time);
  CHECK(shown_pool.ejection.max_time == real_pool.ejection.max_time);
  CHECK(shown_pool.ejection.max_share == real_pool.ejection.max_share);
  CHECK(shown_pool.ejection.unanswered_timeout == real_pool.ejection.unanswered_timeout);
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
  REQUIRE(shown_pool.backends.size() == 1);
  const Backend backend;
  CHECK(shown_pool.backends[0].weight == backend.weight);
  CHECK(shown_pool.backends[0].max_connections == backend.max_connections);
  CHECK(shown_pool.backends[0].enabled == backend.enabled);
  CHECK(shown_pool.backends[0].priority == backend.priority);
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
