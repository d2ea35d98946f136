// SPDX-License-Identifier: MIT
//
// Pools and listeners with names, what they inherit, and what is refused of them.
#include "config/address_range.h"
#include "support.h"

#include <catch2/catch.hpp>

using namespace lemonade;
using namespace lemonade::config;
using namespace lemonade::config::test;
using namespace std::chrono_literals;
using Catch::Contains;

namespace {

const Pool& pool(const Loaded& loaded, const std::string& name) {
  for (const auto& one : loaded.config.pools)
    if (one.name == name) return one;
  FAIL("there is no pool " + name);
  return loaded.config.pools.front();
}

const Listener& listener(const Loaded& loaded, const std::string& name) {
  for (const auto& one : loaded.config.listeners)
    if (one.name == name) return one;
  FAIL("there is no listener " + name);
  return loaded.config.listeners.front();
}

std::vector<std::string> idsOf(const Pool& pool) {
  std::vector<std::string> ids;
  for (const auto& backend : pool.backends) ids.push_back(backend.id);
  return ids;
}

const std::string kWeb = "[[listeners]]\nname = \"web\"\naddress = \"127.0.0.1:81\"\npool = \"web\"\n";
const std::string kWebPool = "[pools.web]\nbackends = \"10.0.1.10:80\"\n";

}  // namespace

TEST_CASE("The tables at the top are the listener and the pool called default", "[config]") {
  const auto loaded = parsed("proxy.retries = 3\n" + kBackend);
  REQUIRE(findingsOf(loaded) == "");
  REQUIRE(loaded.config.listeners.size() == 1);
  REQUIRE(loaded.config.pools.size() == 1);
  CHECK(loaded.config.listeners[0].name == "default");
  CHECK(loaded.config.listeners[0].pool == "default");
  CHECK(loaded.config.pools[0].name == "default");
  CHECK(loaded.config.pools[0].retries == 3);
}

TEST_CASE("Listeners and pools say all that they have of their own", "[config]") {
  const auto loaded = parsed(R"(
    [[listeners]]
    name = "postgres"
    address = ["0.0.0.0:5432", "[::]:5432"]
    pool = "postgres"
    backlog = 7
    max_connections = 500
    idle_timeout = "2m"
    half_close_timeout = "3s"
    tcp_keepalive = "4s"
    tcp_keepalive_interval = "5s"
    tcp_keepalive_count = 6
    tcp_user_timeout = "7s"

    [pools.postgres]
    strategy = "least_connections"
    connect_timeout = "1s"
    retries = 1
    resolve_interval = "2s"
    queue_timeout = "3s"
    [pools.postgres.health]
    checker = "send_expect"
    interval = "4s"
    options = { send = "x" }
    [pools.postgres.ejection]
    enabled = false
    [[pools.postgres.backends]]
    id = "pg-1"
    address = "10.0.2.10:5432"
    weight = 3
    [pools.web]
    strategy = { algorithm = "consistent_hash", options = { seed = 1 } }
    backends = ["10.0.1.10:80", { address = "10.0.1.11:80", weight = 2 }]
    [[listeners]]
    name = "web"
    address = ":80"
    pool = "web"
  )");
  REQUIRE(findingsOf(loaded) == "");
  REQUIRE(loaded.config.listeners.size() == 2);
  const auto& pg = listener(loaded, "postgres");
  REQUIRE(pg.addresses.size() == 2);
  CHECK(pg.addresses[1].address == "[::]:5432");
  CHECK(pg.pool == "postgres");
  CHECK(pg.backlog == 7);
  CHECK(pg.max_connections == 500);
  CHECK(pg.idle_timeout == 2min);
  CHECK(pg.half_close_timeout == 3s);
  CHECK(pg.tcp_keepalive == 4s);
  CHECK(pg.tcp_keepalive_interval == 5s);
  CHECK(pg.tcp_keepalive_count == 6);
  CHECK(pg.tcp_user_timeout == 7s);
  CHECK(pg.source.text() == "test.toml:2:5");
  REQUIRE(loaded.config.pools.size() == 2);
  const auto& db = pool(loaded, "postgres");
  CHECK(db.strategy.id == "least_connections");
  CHECK(db.connect_timeout == 1s);
  CHECK(db.retries == 1);
  CHECK(db.resolve_interval == 2s);
  CHECK(db.queue_timeout == 3s);
  CHECK(db.health.checker.id == "send_expect");
  CHECK(db.health.checker.options.size() == 1);
  CHECK(db.health.interval == 4s);
  CHECK_FALSE(db.ejection.enabled);
  CHECK(idsOf(db) == std::vector<std::string>{"pg-1"});
  CHECK(db.backends[0].weight == 3);
  const auto& web = pool(loaded, "web");
  CHECK(web.strategy.id == "consistent_hash");
  CHECK(web.strategy.options.size() == 1);
  CHECK(idsOf(web) == std::vector<std::string>{"10.0.1.10:80", "10.0.1.11:80"});
  CHECK(web.backends[1].weight == 2);
}

TEST_CASE("Pools and listeners inherit from the tables at the top, wherever these stand", "[config]") {
  const auto loaded = parsed(kWeb + kWebPool + "[pools.web.health]\nfall = 9\n" +
                             "[proxy]\nretries = 7\nbacklog = 8\n[health]\nrise = 6\n[ejection]\nmax_share = 0.25\n");
  REQUIRE(findingsOf(loaded) == "");
  REQUIRE(loaded.config.pools.size() == 1);
  CHECK(loaded.config.pools[0].retries == 7);
  CHECK(loaded.config.pools[0].health.rise == 6);
  CHECK(loaded.config.pools[0].health.fall == 9);
  CHECK(loaded.config.pools[0].ejection.max_share == 0.25);
  CHECK(loaded.config.listeners[0].backlog == 8);
}

TEST_CASE("Options are inherited with the plugin that they are for", "[config]") {
  const std::string top =
      "[strategy]\nalgorithm = \"adaptive\"\noptions = { choices = 3 }\n"
      "[health]\nchecker = \"http\"\noptions = { path = \"/\" }\n";
  const auto of = [&](const std::string& lines) {
    const auto loaded = parsed(kWeb + kWebPool + lines + top);
    CHECK(findingsOf(loaded) == "");
    return loaded.config.pools.front();
  };
  CHECK(of("").strategy.options.size() == 1);
  CHECK(of("").health.checker.options.size() == 1);
  CHECK(of("strategy = \"adaptive\"\n").strategy.options.size() == 1);
  CHECK(of("strategy = \"random_two\"\n").strategy.options.empty());
  CHECK(of("health = { checker = \"tcp\" }\n").health.checker.options.empty());
  CHECK(of("health = { checker = \"none\" }\n").health.checker.options.empty());
  const auto own = of("strategy = { options = { a = 1, b = 2 } }\n");
  CHECK(own.strategy.id == "adaptive");
  CHECK(own.strategy.options.size() == 2);
}

TEST_CASE("The default listener and pool are there beside others where they are used", "[config]") {
  const auto both = parsed("proxy.listen_address = \"127.0.0.1:80\"\n" + kWeb + kWebPool + kBackend);
  REQUIRE(findingsOf(both) == "");
  REQUIRE(both.config.listeners.size() == 2);
  CHECK(both.config.listeners[0].name == "default");
  CHECK(both.config.listeners[1].name == "web");
  REQUIRE(both.config.pools.size() == 2);
  CHECK(both.config.pools[0].name == "default");
  const auto none = parsed(kWeb + kWebPool);
  REQUIRE(none.config.listeners.size() == 1);
  CHECK(none.config.listeners[0].name == "web");
  REQUIRE(none.config.pools.size() == 1);
  CHECK(none.config.pools[0].name == "web");
}

TEST_CASE("Variables speak of the default listener and pool only", "[config]") {
  const auto loaded = parsed(kWeb + kWebPool, {{"LEMONADE_LB_BACKEND_ADDRESSES", "10.0.0.1:1"},
                                               {"LEMONADE_LB_LISTEN_ADDRESS", "127.0.0.1:80"},
                                               {"LEMONADE_LB_STRATEGY", "random_two"},
                                               {"LEMONADE_LB_MAX_CONNECTIONS", "5"}});
  REQUIRE(findingsOf(loaded) == "");
  REQUIRE(loaded.config.pools.size() == 2);
  CHECK(loaded.config.pools[0].strategy.id == "random_two");
  CHECK(loaded.config.pools[1].strategy.id == "adaptive");
  CHECK(loaded.config.listeners[0].max_connections == 5);
  CHECK(loaded.config.listeners[1].max_connections == 10'000);
}

TEST_CASE("A listener may lead to a pool of another name, and the default one, too", "[config]") {
  const auto loaded = parsed("proxy.pool = \"web\"\n" + kWebPool);
  REQUIRE(findingsOf(loaded) == "");
  CHECK(loaded.config.listeners[0].name == "default");
  CHECK(loaded.config.listeners[0].pool == "web");
}

TEST_CASE("One line stands for many backends that are alike", "[config]") {
  const auto loaded = parsed("backends = \"10.0.1.[9-11]:8080\"\n");
  REQUIRE(findingsOf(loaded) == "");
  CHECK(idsOf(loaded.config.pools[0]) == std::vector<std::string>{"10.0.1.9:8080", "10.0.1.10:8080", "10.0.1.11:8080"});
  const auto named = parsed("[[backends]]\nid = \"web\"\naddress = \"web-[01-02]:[80-81]\"\nweight = 4\n");
  REQUIRE(findingsOf(named) == "");
  const auto& backends = named.config.pools[0].backends;
  CHECK(idsOf(named.config.pools[0]) == std::vector<std::string>{"web-1", "web-2", "web-3", "web-4"});
  CHECK(backends[0].host == "web-01");
  CHECK(backends[0].port == 80);
  CHECK(backends[3].host == "web-02");
  CHECK(backends[3].port == 81);
  CHECK(backends[3].name == "web-4");
  CHECK(backends[3].weight == 4);
}

TEST_CASE("Ranges in addresses count up, and brackets of IPv6 are none", "[config]") {
  const auto texts = [](const char* text) { return expandRanges(text).value(); };
  CHECK(texts("10.0.0.1:80") == std::vector<std::string>{"10.0.0.1:80"});
  CHECK(texts("[2001:db8::1]:80") == std::vector<std::string>{"[2001:db8::1]:80"});
  CHECK(texts("[fd00::[1-2]]:80") == std::vector<std::string>{"[fd00::1]:80", "[fd00::2]:80"});
  CHECK(texts("a[08-10]:1") == std::vector<std::string>{"a08:1", "a09:1", "a10:1"});
  CHECK(texts("[1-2].[3-4]") == std::vector<std::string>{"1.3", "1.4", "2.3", "2.4"});
  CHECK(texts("a[0-4095]").size() == 4'096);
  for (const auto* text : {"a[1-]:80", "a[-2]:80", "a[1-2:80", "a[a-b]:80", "a[1]:80", "a[2-1]:80", "a[0-4096]",
                           "a[0-64][0-64]", "a[1-9999999999]", "a[0-999999999][0-999999999][0-999999999]"}) {
    INFO(text);
    CHECK_FALSE(expandRanges(text).ok());
  }
}

TEST_CASE("What is wrong with a range of backends is said once", "[config]") {
  CHECK(findingsOf(parsed("backends = \"10.0.1.[19-10]:80\"\n")) ==
        "test.toml:1:12: backends is \"10.0.1.[19-10]:80\"; a range counts up: write the lower number first, such as "
        "[10-19]\n");
  CHECK_THAT(findingsOf(parsed("backends = \"10.0.1.[250-260]:80\"\n")),
             Contains("backends is \"10.0.1.256:80\"") && !Contains("10.0.1.257"));
  CHECK_THAT(findingsOf(parsed("backends = \"10.0.[0-99].[0-99]:80\"\n")), Contains("more than 4096 backends"));
  CHECK_THAT(findingsOf(parsed("backends = \"10.0.1.[1-]:80\"\n")), Contains("write a range as two numbers: [10-19]"));
}

TEST_CASE("A listener that leads nowhere is told the pool that it may mean", "[config]") {
  CHECK(findingsOf(parsed("[[listeners]]\nname = \"w\"\naddress = \":81\"\npool = \"wep\"\n" + kWebPool)) ==
        "test.toml:4:8: listener w leads to pool wep, which does not exist; give pool: did you mean web?\n");
  CHECK(findingsOf(parsed("[[listeners]]\nname = \"w\"\naddress = \":81\"\n" + kWebPool)) ==
        "test.toml:1:1: listener w leads to pool default, which does not exist; give pool: known are web\n");
  CHECK_THAT(findingsOf(parsed(kWebPool)),
             Contains("listener default leads to pool default, which does not exist; give proxy.pool: known are web"));
}

TEST_CASE("Names of pools and listeners are checked", "[config]") {
  CHECK_THAT(findingsOf(parsed("[pools.\"\"]\n" + kBackend)),
             Contains("test.toml:1:8: pool name \"\": give one of a-z"));
  CHECK_THAT(findingsOf(parsed("[pools.Web]\n" + kBackend)), Contains("pool name \"Web\": give one of a-z"));
  CHECK_THAT(findingsOf(parsed("[pools.default]\n" + kBackend)), Contains("choose another name"));
  const auto listeners = [](const std::string& name) {
    return "[[listeners]]\nname = \"" + name + "\"\naddress = \":1\"\n";
  };
  CHECK_THAT(findingsOf(parsed(listeners("a b") + kBackend)),
             Contains("test.toml:2:8: listener name \"a b\": give one of a-z"));
  CHECK_THAT(findingsOf(parsed(listeners("default") + kBackend)), Contains("choose another name"));
  CHECK_THAT(findingsOf(parsed(listeners("a") + "[[listeners]]\nname = \"a\"\naddress = \":2\"\n" + kBackend)),
             Contains("test.toml:5:8: listener name \"a\" is taken"));
  CHECK_THAT(findingsOf(parsed("[[listeners]]\naddress = \":1\"\n" + kBackend)),
             Contains("test.toml:1:1: a listener has no name"));
  CHECK_THAT(findingsOf(parsed("[[listeners]]\nname = \"a\"\n" + kBackend)),
             Contains("test.toml:1:1: listener a has no address"));
}

TEST_CASE("Unknown keys of pools and listeners are errors with a suggestion", "[config]") {
  CHECK(findingsOf(
            parsed(kWeb + "backlogs = 1\n" + kWebPool + "retires = 1\nhelth = {}\n[pools.web.health]\nrize = 1\n")) ==
        "test.toml:5:1: unknown key listeners.web.backlogs; did you mean backlog?\n"
        "test.toml:8:1: unknown key pools.web.retires; did you mean retries?\n"
        "test.toml:9:1: unknown key pools.web.helth; did you mean health?\n"
        "test.toml:11:1: unknown key pools.web.health.rize; did you mean rise?\n");
  CHECK(findingsOf(parsed("pools = 1\nlisteners = 2\n" + kBackend)) ==
        "test.toml:1:9: pools is a table of pools; write [pools.NAME]\n"
        "test.toml:2:13: listeners is a list of tables; write [[listeners]]\n");
  CHECK_THAT(findingsOf(parsed("[pools]\nweb = 1\n" + kBackend)), Contains("pools.web is a table; write [pools.web]"));
}

TEST_CASE("Values of pools and listeners are refused by their whole path", "[config]") {
  const auto text = findingsOf(parsed(kWeb + "backlog = 0\n" + kWebPool + "retries = 99\nhealth = { rise = 0 }\n"));
  CHECK_THAT(text, Contains("test.toml:5:11: listeners.web.backlog is 0; give an integer from 1 to 65535"));
  CHECK_THAT(text, Contains("test.toml:8:11: pools.web.retries is 99; give an integer from 0 to 15"));
  CHECK_THAT(text, Contains("pools.web.health.rise is 0; give an integer from 1 to 1000"));
}

TEST_CASE("The whole of a pool is checked by its path", "[config]") {
  const auto with = [](const std::string& lines) { return findingsOf(parsed(kWeb + kWebPool + lines)); };
  CHECK_THAT(with("[pools.web.ejection]\nbase_time = \"10m\"\n"),
             Contains("test.toml:8:13: pools.web.ejection.max_time (5m) is shorter than pools.web.ejection.base_time"));
  CHECK_THAT(with("[pools.web.ejection]\nslow_factor = 1.2\n"),
             Contains("test.toml:8:15: pools.web.ejection.slow_factor is so small that backends which are alike would "
                      "stand out; give 2 or more, or 0 for never"));
  CHECK_THAT(with("[pools.web.health]\nchecker = \"none\"\ninitial = \"down\"\n"),
             Contains("pools.web.health.initial is \"down\" and pools.web.health.checker is \"none\""));
  CHECK_THAT(findingsOf(parsed(kWeb + "[pools.web]\n")),
             Contains("test.toml:5:8: pool web has no backends; add [[pools.web.backends]] with an address"));
  CHECK_THAT(with("[pools.spare]\nbackends = \"10.0.0.1:1\"\n"),
             Contains("test.toml:7:8: warning: no listener leads to pool spare"));
}

TEST_CASE("Backends have an id of their own within a pool, and may share it with another pool's", "[config]") {
  const std::string backend = "[[pools.NAME.backends]]\nid = \"a\"\naddress = \"10.0.0.1:1\"\n";
  const auto of = [&](std::string name) { return std::string(backend).replace(8, 4, name); };
  CHECK(findingsOf(parsed("[[listeners]]\nname = \"x\"\naddress = \":1\"\npool = \"x\"\n"
                          "[[listeners]]\nname = \"y\"\naddress = \":2\"\npool = \"y\"\n" +
                          of("x") + of("y"))) == "");
  CHECK_THAT(findingsOf(parsed("proxy.pool = \"x\"\n" + of("x") + of("x"))), Contains("backend id \"a\" is taken"));
}

TEST_CASE("No two listeners share an address, nor does the admin listener", "[config]") {
  CHECK_THAT(
      findingsOf(parsed(kWeb + "[[listeners]]\nname = \"b\"\naddress = \"0.0.0.0:81\"\npool = \"web\"\n" + kWebPool)),
      Contains("test.toml:7:11: 0.0.0.0:81 is listened on already, as test.toml:3:11 says with 127.0.0.1:81"));
  CHECK_THAT(findingsOf(parsed("admin.listen_address = \"127.0.0.1:81\"\n" + kWeb + kWebPool)),
             Contains("127.0.0.1:81 is listened on already"));
}

TEST_CASE("admin.ready takes a word or names of pools", "[config]") {
  CHECK(parsed(kBackend).config.ready == Ready{});
  CHECK(parsed("admin.ready = \"all\"\n" + kBackend).config.ready.pools == Ready::Pools::kAll);
  const auto named = parsed("admin.ready = [\"web\"]\n" + kWeb + kWebPool);
  REQUIRE(findingsOf(named) == "");
  CHECK(named.config.ready == Ready{Ready::Pools::kNamed, {"web"}});
  for (const auto* value : {"\"some\"", "[]", "7", "[7]", "[\"\"]"})
    CHECK_THAT(findingsOf(parsed("admin.ready = " + std::string(value) + "\n" + kBackend)),
               Contains("give \"any\", \"all\" or a list of pools"));
  CHECK_THAT(findingsOf(parsed("admin.ready = [\"wep\"]\n" + kWeb + kWebPool)),
             Contains("admin.ready names pool wep, which does not exist; did you mean web?"));
}
