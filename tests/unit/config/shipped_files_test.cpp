// SPDX-License-Identifier: MIT
//
// The files under config/ and the page that documents them say what the code does.
#include "config/environment.h"
#include "config/keys.h"
#include "reference.h"
#include "support.h"

#include <toml++/toml.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <regex>

using namespace lemonade;
using namespace lemonade::config;
using namespace lemonade::config::test;
using Catch::Contains;

namespace {

Loaded loadShipped(const std::string& name) { return load({.file = (kSource / "config" / name).string()}); }

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
  const auto real = defaultConfig();
  for (const auto& key : configKeys()) {
    INFO(key.path());
    CHECK(key.same(loaded.config, real));
  }
  REQUIRE(loaded.config.pools.front().backends.size() == 1);
  for (const auto& key : backendKeys()) {
    INFO(key.name);
    CHECK((!key.facts.example.empty() || key.same(loaded.config.pools.front().backends[0], Backend{})));
  }
}

TEST_CASE("The pools and listeners that lemonade.toml shows in comments are valid", "[config]") {
  const auto file = contentOf(kSource / "config/lemonade.toml");
  const auto begin = file.find("# [[listeners]]");
  REQUIRE(begin != std::string::npos);
  const auto example = std::regex_replace(file.substr(begin), std::regex("(^|\n)# "), "$1");
  const auto loaded = parsed(kBackend + "[proxy]\nlisten_address = \"127.0.0.1:8080\"\n" + example);
  CHECK(findingsOf(loaded) == "");
  CHECK(loaded.config.listeners.size() == 2);
  CHECK(loaded.config.pools.size() == 2);
}

TEST_CASE("lemonade.toml and docs/configuration.md say of each key what the key says of itself", "[config]") {
  INFO("LEMONADE_WRITE_REFERENCE=1 unit_config '[config]' writes both anew");
  const bool write = std::getenv("LEMONADE_WRITE_REFERENCE") != nullptr;
  const auto hold = [write](const char* path, const auto& anew) {
    const auto before = contentOf(kSource / path);
    const auto after = anew(before);
    if (write) std::ofstream(kSource / path) << after;
    CHECK((before == after || write));
  };
  hold("config/lemonade.toml", withLines);
  hold("docs/configuration.md", withTables);
}

TEST_CASE("A key says what it takes and what it is for", "[config]") {
  const auto check = [](const auto& keys) {
    for (const auto& key : keys) {
      INFO(key.path());
      CHECK(key.facts.type != "");
      CHECK(key.facts.effect != "");
      CHECK((key.facts.brief != "" || key.facts.type.starts_with("table")));
    }
  };
  check(configKeys());
  check(backendKeys());
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

TEST_CASE("docs/configuration.md has a table for every section, every variable and every row of these", "[config]") {
  const auto page = contentOf(kSource / "docs/configuration.md");
  for (const auto& key : configKeys()) {
    CHECK_THAT(page, Contains("\n### [" + key.section + "]\n"));
    CHECK_THAT(page, Contains("\n| `" + key.name + "` |"));
  }
  for (const auto* heading : {"### [[backends]]", "### [[listeners]]", "### [pools.NAME]"})
    CHECK_THAT(page, Contains("\n" + std::string(heading) + "\n"));
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
