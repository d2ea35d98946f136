// SPDX-License-Identifier: MIT
//
// Strategies in Rust at work in the real balancer: chosen, told everything, and swapped for another version.
#include "e2e/reloading.h"
#include "support/facts.h"
#include "support/server.h"
#include "support/skip.h"

#include <catch2/catch.hpp>

#include <filesystem>
#include <set>

namespace lemonade::test {
namespace {

namespace fs = std::filesystem;

/// A plugin in Rust in a directory of its own, in front of three servers.
struct Rust {
  Rust(const std::string& plugin, const std::string& id, const std::string& options = "{}") {
    if (std::string(LEMONADE_RUST_FOLDER).empty()) skip("there is no Rust compiler to build the plugins with");
    become(plugin);
    balancer.emplace(
        Config()
            .set("runtime.config_watch_interval_millis", 3'600'000)
            .raw("plugins.directories", "[\"" + folder.path().string() + "\", \"" + testPluginFolder() + "\"]")
            .set("strategy.algorithm", id)
            .raw("strategy.options", options)
            .backend("a", a.address())
            .backend("b", b.address())
            .backend("c", c.address()),
        Environment{{"LEMONADE_TEST_FATAL", (folder.path() / "now").string()}});
  }

  void become(const std::string& plugin) const {
    fs::copy_file(fs::path(LEMONADE_RUST_FOLDER) / (plugin + ".so"), folder.path() / "new");
    fs::rename(folder.path() / "new", folder.path() / "rust.so");
  }

  /// Whom a client of this address is given.
  std::string answer(const std::string& from) { return Socket::connect(balancer->address(), from).receiveLine(); }

  Server a{named("a")}, b{named("b")}, c{named("c")};
  const TemporaryFolder folder;
  std::optional<Balancer> balancer;
};

}  // namespace

TEST_CASE("The example in Rust gives a client the same backend again and clients share the backends", "[rust]") {
  Rust rust("rendezvous", "com.example.rendezvous");
  std::set<std::string> names;
  for (int i = 1; i <= 40; ++i) {
    const std::string client = "127.0.1." + std::to_string(i) + ":0";
    const auto first = rust.answer(client);
    names.insert(first);
    CHECK(rust.answer(client) == first);
  }
  CHECK(names == std::set<std::string>{"a", "b", "c"});
}

TEST_CASE("A strategy in Rust is swapped for another version that goes on where it was", "[rust]") {
  Rust rust("everything", "com.example.rust_everything");
  auto& balancer = *rust.balancer;
  CHECK(balancer.ask() == "a");
  CHECK(balancer.ask() == "b");
  REQUIRE(strategy(balancer)->getValue<std::string>("version") == "1.0.0");
  rust.become("everything_second");
  CHECK(requestReload(balancer).status == 200);
  CHECK(strategy(balancer)->getValue<std::string>("version") == "2.0.0");
  CHECK(balancer.ask() == "c");
  CHECK(balancer.ask() == "a");
  CHECK(balancer.metric("lemonade_plugin_rust_picked_total") == 4);
  CHECK(eventually([&] { return balancer.metric("lemonade_plugin_rust_closed_total") == 4; }));
}

TEST_CASE("A strategy in Rust says why it has picked", "[rust]") {
  Rust rust("everything", "com.example.rust_everything");
  const auto admin = rust.balancer->adminAddress();
  REQUIRE(httpGet(admin, "/api/v1/pools/default/why?for=60s", "POST").status == 200);
  (void)rust.answer("");
  CHECK(contains(httpGet(admin, "/api/v1/pools/default/why").body, "its turn came, with 1 of the places"));
}

TEST_CASE("A panic in Rust is broken off and no client notices", "[rust]") {
  Rust rust("everything_panics", "com.example.rust_everything");
  auto& balancer = *rust.balancer;
  CHECK(balancer.ask() == "a");
  rust.folder.write("now", "");
  for (int i = 0; i < 20; ++i) CHECK_FALSE(balancer.ask().empty());
  const auto line = balancer.process().waitForLog("a call of a plugin was broken off");
  CHECK(field(line, "plugin") == "com.example.rust_everything");
  CHECK(field(line, "function") == "pick");
  CHECK_THAT(line, Catch::Contains("SIGABRT"));
}

TEST_CASE("A strategy in Rust has its options checked and refuses one in its own words", "[rust]") {
  Rust rust("everything", "com.example.rust_everything", "{skipped = \"b\"}");
  auto& balancer = *rust.balancer;
  CHECK(balancer.ask() == "a");
  CHECK(balancer.ask() == "c");
  const auto config = [&](const std::string& options) {
    return Config()
        .raw("plugins.directories", "[\"" + rust.folder.path().string() + "\", \"" + testPluginFolder() + "\"]")
        .set("strategy.algorithm", "com.example.rust_everything")
        .raw("strategy.options", options)
        .backend("a", rust.a.address());
  };
  write(balancer, config("{skipped = \"nobody\"}"));
  CHECK_THAT(requestReload(balancer).body, Catch::Contains("there is no backend called nobody"));
  write(balancer, config("{colour = \"blue\"}"));
  CHECK_THAT(requestReload(balancer).body, Catch::Contains("colour"));
  CHECK(balancer.ask() == "a");
}

}  // namespace lemonade::test
