// SPDX-License-Identifier: MIT
#include "config/effective.h"
#include "config/keys.h"
#include "support.h"

#include <catch2/catch.hpp>

#include <map>

using namespace lemonade;
using namespace lemonade::config;
using namespace lemonade::config::test;

namespace {

std::map<std::string, std::string> shown(const std::string& text) {
  const auto loaded = parsed(text);
  REQUIRE(findingsOf(loaded) == "");
  std::map<std::string, std::string> values;
  for (const auto& key : effective(loaded.config)) {
    INFO(key.path);
    CHECK(values.emplace(key.path, key.value).second);
  }
  return values;
}

}  // namespace

TEST_CASE("Every key is shown, whether it was said or not", "[config]") {
  const auto values = shown("proxy.retries = 7\n" + kBackend);
  for (const auto& key : configKeys()) {
    INFO(key.path());
    CHECK(values.contains(key.path()));
  }
  for (const auto& key : backendKeys()) CHECK(values.contains("backends.10.0.1.10:80." + key.name));
  CHECK(values.at("proxy.retries") == "7");
  CHECK(values.at("proxy.listen_address") == "[0.0.0.0:8080]");
  CHECK(values.at("health.interval") == "5s");
}

TEST_CASE("Keys of pools and listeners are shown by their names, with what they inherit", "[config]") {
  const auto values = shown(
      "health.interval = \"9s\"\n[[listeners]]\nname = \"web\"\naddress = \":81\"\npool = \"web\"\n[pools.web]\n"
      "retries = 1\nbackends = [{ id = \"a\", address = \"10.0.0.1:1\", weight = 4 }]\n");
  CHECK(values.at("listeners.web.address") == "[0.0.0.0:81]");
  CHECK(values.at("pools.web.retries") == "1");
  CHECK(values.at("pools.web.health.interval") == "9s");
  CHECK(values.at("pools.web.backends.a.weight") == "4");
  CHECK_FALSE(values.contains("proxy.retries"));
}

TEST_CASE("Options are shown by their names, as their values may be secrets", "[config]") {
  const auto values = shown(
      "[strategy.options]\npassword = \"secret\"\n[health.options]\ntoken = \"secret\"\n"
      "[metrics.options.prometheus]\nkey = \"secret\"\n" +
      kBackend);
  CHECK(values.at("strategy.options") == "[password]");
  CHECK(values.at("health.options") == "[token]");
  CHECK(values.at("metrics.options") == "[prometheus [key]]");
  for (const auto& [path, value] : values) CHECK(value.find("secret") == std::string::npos);
}
