// SPDX-License-Identifier: MIT
#include "simulation/scenario_file.h"

#include <catch2/catch.hpp>

#include <fstream>
#include <sstream>
#include <string>

using namespace lemonade;
using namespace lemonade::sim;

namespace {

NamedScenario read(const std::string& text) { return readScenario(text, "s.toml", {}); }

/// The only finding of a text that is wrong.
std::string fault(const std::string& text) {
  const auto named = read(text);
  REQUIRE(named.findings.size() == 1);
  CHECK_FALSE(named.ok());
  return named.findings[0].line();
}

std::string page() {
  std::ifstream file(LEMONADE_SOURCE_DIR "/docs/simulate.md");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

template <class Target>
void requireTold(const std::string& page, const std::vector<config::Key<Target>>& keys, const std::string& within) {
  for (const auto& key : keys) {
    INFO(key.path());
    CHECK_THAT(page, Catch::Contains("`" + within + key.path() + "`"));
  }
}

}  // namespace

TEST_CASE("An empty scenario has eight backends alike at six tenths of what they can do", "[simulation]") {
  const auto named = read("");
  REQUIRE(named.ok());
  CHECK(named.scenario.servers == 8);
  CHECK(named.names.front() == "b1");
  CHECK(named.scenario.seconds == 60);
  CHECK(named.scenario.rate == Approx(0.6 * 8 * 1'000 / 5));
  CHECK(named.scenario.timetable.empty());
}

TEST_CASE("A scenario without backends is played with those of the configuration", "[simulation]") {
  config::Backend old;
  old.id = "old";
  old.weight = 3;
  old.zone = "eu";
  config::Backend off;
  off.enabled = false;
  const auto named = readScenario("rate = 10", "s.toml", backendsOf({old, off}));
  REQUIRE(named.ok());
  CHECK(named.names == std::vector<std::string>{"old"});
  CHECK(named.scenario.weights == std::vector<std::uint32_t>{3});
  CHECK(named.scenario.zones == std::vector<std::string>{"eu"});
  CHECK(named.scenario.rate == 10);
}

TEST_CASE("Speeds hold from the start and count for the load", "[simulation]") {
  const auto named = read(
      "load = 1\nwork = \"10ms\"\n[[backends]]\nid = \"a\"\n[[backends]]\nid = \"b\"\nspeed = 0.5\n"
      "[[events]]\nat = \"2s\"\nbackend = \"b\"\nfactor = 3\n[[events]]\nat = \"3s\"\nbackend = \"a\"\ndoes = "
      "\"down\"");
  REQUIRE(named.ok());
  CHECK(named.scenario.rate == Approx(150));
  const auto& steps = named.scenario.timetable;
  REQUIRE(steps.size() == 3);
  CHECK(steps[0].server == 1);
  CHECK(steps[0].factor == 2);
  CHECK(steps[1].at == 2);
  CHECK(steps[1].factor == 6);
  CHECK(steps[2].action == Action::kDown);
}

TEST_CASE("A reset is of a share of the connections, whatever the speed of the backend", "[simulation]") {
  const auto named = read(
      "[[backends]]\nid = \"a\"\nspeed = 0.5\n[[events]]\nat = \"2s\"\nbackend = \"a\"\ndoes = \"reset\"\n"
      "factor = 0.2");
  REQUIRE(named.ok());
  CHECK(named.scenario.timetable.at(1).factor == 0.2);
}

TEST_CASE("What is wrong with a scenario names the line and the mend", "[simulation]") {
  CHECK(fault("lenght = \"3s\"") == "s.toml:1:1: unknown key scenario.lenght; did you mean length?");
  CHECK_THAT(fault("length = \"3 parsecs\""), Catch::StartsWith("s.toml:1:10: "));
  CHECK_THAT(fault("load = 0.5\nrate = 3"), Catch::Contains("s.toml:1:8: give rate or load, not both"));
  CHECK_THAT(fault("[[backends]]\nid = \"web\"\n[[events]]\nbackend = \"wep\""),
             Catch::Contains("s.toml:3:1: there is no backend wep; did you mean web?"));
  CHECK_THAT(fault("[[events]]\nat = \"70s\"\nbackend = \"b1\""), Catch::Contains("after the end of the scenario"));
  CHECK_THAT(fault("[[events]]\nat = \"1s\""), Catch::Contains("the event has no backend"));
  CHECK_THAT(fault("[[events]]\nbackend = \"b1\"\ndoes = \"dance\""), Catch::Contains("\"hang\""));
  CHECK_THAT(fault("[[backends]]\nid = \"a\"\n[[backends]]\nid = \"a\""), Catch::Contains("two backends are called a"));
  CHECK_THAT(fault("backends = 3"), Catch::Contains("write [[backends]]"));
  CHECK_THAT(fault("events = [3]"), Catch::Contains("write [[events]]"));
  CHECK_THAT(fault("crowd = 3"), Catch::Contains("write [crowd]"));
  CHECK_THAT(fault("warm_up = \"60s\""), Catch::Contains("no request counts"));
  CHECK_THAT(fault("a = \n"), Catch::StartsWith("s.toml:1:"));
}

TEST_CASE("The page about simulations has every key", "[simulation]") {
  const auto text = page();
  requireTold(text, scenarioKeys(), "");
  requireTold(text, scenarioBackendKeys(), "backends.");
  requireTold(text, scenarioEventKeys(), "events.");
}
