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
  std::string path;
  std::string value;
  Lines lines;
  std::string more = "";  ///< of the file, where the key alone makes no valid one
};

/// The keys of which that cannot be told from their type and range.

const std::vector<Case> kCases = {
    {"runtime.supervisor", "\"off\"", {"runtime.supervisor auto -> off, from the next start on"}},
    {"runtime.zone", "\"eu-1a\"", {"runtime.zone \"\" -> eu-1a"}},
    {"proxy.listen_address",
     "[\"0.0.0.0:8080\", \"[::1]:81\"]",
     {"proxy.listen_address [0.0.0.0:8080] -> [0.0.0.0:8080, [::1]:81]"}},
    {"proxy.pool",
     "\"web\"",
     {"proxy.pool default -> web", "pool web added"},
     "[pools.web]\nbackends = \"10.0.0.9:80\"\n"},
    {"proxy.idle_timeout", "0", {"proxy.idle_timeout 3600s -> 0s"}},
    {"proxy.tcp_keepalive", "false", {"proxy.tcp_keepalive 60s -> 0s"}},
    {"strategy.algorithm", "\"round_robin\"", {"strategy adaptive -> round_robin"}},
    {"strategy.options", "{secret = 3}", {"strategy adaptive: options changed"}},
    {"shadow.algorithm", "\"round_robin\"", {"shadow none -> round_robin"}},
    {"shadow.options", "{secret = 3}", {"shadow none: options changed"}},
    {"health.checker", "\"http\"", {"health.checker tcp -> http"}},
    {"health.panic_threshold", "0.3333331", {"health.panic_threshold 0 -> 0.3333331"}},
    {"health.options", "{password = \"secret\"}", {"health.checker tcp: options changed"}},
    {"ejection.max_time", "\"1m\"", {"ejection.max_time 300s -> 60s"}},
    {"ejection.slow_factor", "3", {"ejection.slow_factor 0 -> 3"}},
    {"metrics.sinks", "[]", {"metrics.sinks [prometheus] -> []"}},
    {"metrics.options", "{prometheus = {token = \"secret\"}}", {"sink prometheus: options changed"}},
    {"admin.listen_address", "\"\"", {"admin.listen_address 127.0.0.1:9090 -> \"\""}},
    {"admin.hosts", "[\"lb.example\"]", {"admin.hosts [] -> [lb.example]"}},
    {"admin.ready", "\"all\"", {"admin.ready any -> all"}},
    {"plugins.directories", "[\"/p\", \"/q\"]", {"plugins.directories [] -> [/p, /q]"}},
    {"plugins.preflight", "\"reload\"", {"plugins.preflight always -> reload"}},
    {"plugins.cache_directory", "\"/c\"", {"plugins.cache_directory \"\" -> /c"}},
    {"plugins.containment", "\"off\"", {"plugins.containment on -> off"}},
    {"plugins.hang_limit", "\"500ms\"", {"plugins.hang_limit 2s -> 500ms"}},
    {"plugins.probation", "\"0s\"", {"plugins.probation 30s -> 0s"}},
    {"kernel.table", "\"other\"", {"kernel.table lemonade -> other, from the next start on"}},
    {"kernel.keep", "true", {"kernel.keep false -> true"}},
    {"kernel.exchanges", "\"on\"", {"kernel.exchanges off -> on"}},
    {"proxy.forward", "\"kernel\"", {"proxy.forward relay -> kernel"}},
    {"proxy.source", "\"keep\"", {"proxy.source masquerade -> keep"}},
    {"log.level", "\"warn,health=debug\"", {"log.level info -> warn,health=debug"}},
    {"backends.id", "\"b\"", {"backend b: added", "backend a: removed"}},
    {"backends.name", "\"web\"", {"backend a: name a -> web"}},
    {"backends.address", "\"[2001:db8::1]:81\"", {"backend a: address 10.0.0.1:80 -> [2001:db8::1]:81"}},
    {"backends.zone", "\"eu-1a\"", {"backend a: zone \"\" -> eu-1a"}},
    {"backends.labels", "{role = \"primary\", rack = \"7\"}", {"backend a: labels {} -> {rack = 7, role = primary}"}},
    {"backends.options", "{token = \"secret\"}", {"backend a: options changed"}},
    {"proxy.accept_proxy",
     "\"v2\"",
     {"proxy.accept_proxy off -> v2", "proxy.trusted [] -> [10.0.0.0/8]"},
     "trusted = [\"10.0.0.0/8\"]\n"},
    {"proxy.trusted", "[\"10.0.0.0/8\", \"unix\"]", {"proxy.trusted [] -> [10.0.0.0/8, unix]"}},
    {"proxy.mode", "\"0660\"", {"proxy.mode \"\" -> 0660"}},
    {"proxy.owner", "\":www-data\"", {"proxy.owner \"\" -> :www-data"}},
    {"proxy.source_address", "\"192.0.2.1\"", {"proxy.source_address \"\" -> 192.0.2.1"}},
    {"health.address", "\"192.0.2.1\"", {"health.address \"\" -> 192.0.2.1"}},
    {"admin.socket", "\"/run/other.sock\"", {"admin.socket auto -> /run/other.sock"}},
    {"admin.token_file", "\"/etc/lemonade/tokens\"", {"admin.token_file \"\" -> /etc/lemonade/tokens"}},
    {"admin.socket_mode", "\"0660\"", {"admin.socket_mode 0600 -> 0660"}},
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

/// The first word in code of a range like "`on`, `off`" that is not this one; "" where there is none.
std::string otherWord(const std::string& range, const std::string& than) {
  for (std::size_t at = 0; (at = range.find('`', at)) != std::string::npos;) {
    const auto end = range.find('`', at + 1);
    if (const auto word = range.substr(at + 1, end - at - 1); word != than) return word;
    at = end + 1;
  }
  return "";
}

/// A value that is not the one shown, as a file says it: the other truth, another word, an end of the range.
template <class Target>
std::string otherValue(const config::Key<Target>& key, const std::string& shown) {
  const auto& range = key.facts.range;
  if (key.facts.type == "boolean") return shown == "true" ? "false" : "true";
  if (key.facts.type == "string") return '"' + otherWord(range, shown) + '"';
  const auto to = range.find(" to ");
  if (to == std::string::npos) return "";
  const auto low = range.substr(0, to);
  const auto high = range.substr(to + 4, range.find(',') - to - 4);
  const bool is_low = shown == low || shown == low + "s";
  const auto end = is_low ? high : low;
  return key.facts.type == "duration" && end != "0" ? '"' + end + '"' : end;
}

config::Backend onlyBackend(const config::Config& config) { return config.pools.front().backends.front(); }

template <class Target>
Case caseOf(const config::Key<Target>& key, const std::string& path, const std::string& called, const Target& before,
            Target (*part)(const config::Config&)) {
  const auto value = otherValue(key, key.show(before));
  const auto shown = key.show(part(fileWith(path, value)));
  const auto when = key.facts.from.empty() ? "" : ", from the next " + key.facts.from + " on";
  return {path, value, {called + " " + key.show(before) + " -> " + shown + when}};
}

/// The case of a key that is listed, or the one that follows from its type and range.
Case caseOf(const std::string& path, const config::Config& without) {
  const auto found = std::find_if(kCases.begin(), kCases.end(), [&](const Case& one) { return one.path == path; });
  if (found != kCases.end()) return *found;
  if (!path.starts_with("backends."))
    return caseOf<config::Config>(config::configKey(path), path, path, without,
                                  [](const auto& config) { return config; });
  for (const auto& key : config::backendKeys())
    if ("backends." + key.name == path)
      return caseOf<config::Backend>(key, path, "backend a: " + key.name, onlyBackend(without), onlyBackend);
  FAIL("not a key: " << path);
  return {};
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
    const auto one = caseOf(path, without);
    INFO("where no other value follows from its type and range, a new key needs a case: " + path + " = " + one.value);
    const auto with = fileWith(path, one.value, one.more);
    CHECK(differences(without, with) == one.lines);
    CHECK_FALSE(differences(with, without).empty());
    CHECK(differences(with, with).empty());
  }
  for (const auto& one : kCases) {
    INFO("a case of no key: " + one.path);
    const auto paths = config::knownPaths();
    CHECK(std::find(paths.begin(), paths.end(), one.path) != paths.end());
  }
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

TEST_CASE("A difference has its key with both values and what came or went has one", "[app]") {
  const auto before = typical();
  auto after = before;
  after.runtime.zone = "eu-1a";
  after.pools.front().retries = 7;
  after.pools.front().backends[0].weight = 5;
  after.pools.front().backends[1] = backend("c", "10.0.0.3");
  const auto all = differencesOf(before, after);
  const auto find = [&](const std::string& key) {
    const auto found = std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.key == key; });
    REQUIRE(found != all.end());
    return *found;
  };
  CHECK(all.size() == 5);
  CHECK(find("runtime.zone").after == "eu-1a");
  CHECK(find("proxy.retries").before == "2");
  CHECK(find("proxy.retries").after == "7");
  CHECK(find("backends.a.weight").after == "5");
  CHECK(find("backends.b").before == "10.0.0.2:80");
  CHECK_FALSE(find("backends.b").after);
  CHECK_FALSE(find("backends.c").before);
  CHECK(find("backends.c").lines == Lines{"backend c: added"});
}

TEST_CASE("A difference of options does not show their values", "[app]") {
  const auto before = typical();
  auto after = before;
  after.pools.front().strategy.options = {{"secret", std::string("hunter2"), {}}};
  for (const auto& one : differencesOf(before, after)) {
    CHECK(one.before.value_or("").find("hunter2") == std::string::npos);
    CHECK(one.after.value_or("").find("hunter2") == std::string::npos);
  }
  CHECK_FALSE(differencesOf(before, after).empty());
}
