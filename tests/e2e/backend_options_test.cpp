// SPDX-License-Identifier: MIT
//
// What an operator says of backends for the strategy: options are checked against what that declares, and what cannot
// be used is named with its line and what would be right.
#include "e2e/reloading.h"
#include "support/balancer.h"
#include "support/process.h"
#include "support/server.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstddef>
#include <string>

namespace lemonade::test {
namespace {

Config exampled(const std::string& algorithm) {
  return unwatched()
      .raw("plugins.directories", "[\"" + testPluginFolder() + "\", \"" + std::string(LEMONADE_EXAMPLES_FOLDER) + "\"]")
      .set("strategy.algorithm", algorithm);
}

/// The line of a text that holds this, counted from 1.
std::size_t lineOf(const std::string& text, const std::string& part) {
  const auto at = text.find(part);
  REQUIRE(at != std::string::npos);
  return 1 + static_cast<std::size_t>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
}

/// What --validate says of a backend with these lines, which must name the file and the line.
std::string refusalOf(const std::string& lines, const std::string& algorithm = "com.example.read_write") {
  const TemporaryFolder folder;
  const auto text = exampled(algorithm).backend("a", "127.0.0.1:1").backend("b", "127.0.0.1:2", lines).text();
  const auto outcome = run(lemonade({"lb", "--validate", "--config", folder.write("lemonade.toml", text)}));
  CHECK(outcome.code == 1);
  CHECK(contains(outcome.err, "lemonade.toml:" + std::to_string(lineOf(text, lines)) + ":"));
  return outcome.err;
}

}  // namespace

TEST_CASE("Options of a backend that the strategy cannot use are named with their line and what would be right",
          "[backend_options]") {
  CHECK(contains(refusalOf("options = { read_share = 1001 }"), "read_share must be from 0 to 1000"));
  CHECK(contains(refusalOf("options = { read_share = \"3\" }"), "read_share must be an integer"));
  CHECK(contains(refusalOf("options = { read_shore = 3 }"),
                 "has no option \"read_shore\" for backends; did you mean read_share?"));
  CHECK(contains(refusalOf("options = 3"), "options"));
}

TEST_CASE("A strategy without options of backends takes none, one of ABI 1.0 neither", "[backend_options]") {
  for (const char* algorithm : {"round_robin", "com.example.first"})
    CHECK(contains(refusalOf("options = { read_share = 3 }", algorithm),
                   "has no option \"read_share\" for backends; it has none: remove the key"));
}

TEST_CASE("A reload with options of a backend that cannot be used changes nothing", "[backend_options][reload]") {
  Server a(named("a")), b(named("b"));
  const auto config = [&](const std::string& of_b) {
    return exampled("com.example.read_write")
        .backend("a", a.address(), "options = { read_share = 0 }")
        .backend("b", b.address(), of_b);
  };
  Balancer balancer(config(""));
  CHECK(balancer.ask() == "b");
  const int before = generation(balancer);
  write(balancer, config("options = { read_share = -1 }"));
  const auto answer = requestReload(balancer);
  CHECK(answer.status != 200);
  CHECK(contains(answer.body, "read_share must be from 0 to 1000"));
  CHECK(generation(balancer) == before);
  CHECK(balancer.ask() == "b");
}

TEST_CASE("A strategy that takes no options of backends is refused while a backend has some",
          "[backend_options][reload]") {
  Server a(named("a"));
  const auto config = [&](const std::string& algorithm, const std::string& lines) {
    return exampled(algorithm).backend("a", a.address(), lines);
  };
  Balancer balancer(config("com.example.read_write", "options = { read_share = 2 }"));
  write(balancer, config("round_robin", "options = { read_share = 2 }"));
  const auto answer = requestReload(balancer);
  CHECK(answer.status != 200);
  CHECK(contains(answer.body, "it has none: remove the key"));
  CHECK(strategy(balancer)->getValue<std::string>("id") == "com.example.read_write");
  reload(balancer, config("round_robin", ""));
  CHECK(strategy(balancer)->getValue<std::string>("id") == "round_robin");
  CHECK(balancer.ask() == "a");
}

}  // namespace lemonade::test
