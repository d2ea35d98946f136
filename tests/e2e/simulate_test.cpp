// SPDX-License-Identifier: MIT
//
// The simulation as operators and authors of plugins run it.
#include "support/balancer.h"

#include <Poco/JSON/Array.h>
#include <Poco/JSON/Parser.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <string>

namespace lemonade::test {
namespace {

using Poco::JSON::Object;

Outcome simulate(Arguments arguments) {
  arguments.insert(arguments.begin(), "simulate");
  return run(lemonade(arguments));
}

constexpr const char* kSlow = "length = \"20s\"\nload = 0.5\n[[events]]\nat = \"1s\"\nbackend = \"a\"\nfactor = 10\n";

/// Backends a, b and c; nobody listens there.
std::string threeBackends(const TemporaryFolder& folder, const std::string& strategy) {
  Config config;
  config.set("strategy.algorithm", strategy);
  for (const char* id : {"a", "b", "c"}) config.backend(id, "127.0.0.1:" + std::to_string(id[0]));
  return folder.write("lemonade.toml", config.text());
}

}  // namespace

TEST_CASE("A simulation plays a scenario with the configured strategy and backends", "[simulate]") {
  const TemporaryFolder folder;
  const auto scenario = folder.write("slow.toml", kSlow);
  const auto played = simulate({"--config", threeBackends(folder, "adaptive"), "--scenario", scenario, "--json",
                                "--strategy", "adaptive,round_robin", "--svg", (folder.path() / "slow.svg").string()});
  INFO(played.out << played.err);
  REQUIRE(played.code == 0);
  const auto strategies = Poco::JSON::Parser().parse(played.out).extract<Object::Ptr>()->getArray("strategies");
  REQUIRE(strategies->size() == 2);
  const auto adaptive = strategies->getObject(0), round_robin = strategies->getObject(1);
  CHECK(adaptive->getObject("shares")->getValue<double>("a") < 0.2);
  CHECK(round_robin->getObject("shares")->getValue<double>("a") > 0.3);
  CHECK(adaptive->getValue<double>("p99_ms") < 1'000);
  CHECK(round_robin->isNull("p99_ms"));  // more than one in a hundred were not answered
  std::ifstream picture(folder.path() / "slow.svg");
  const std::string svg{std::istreambuf_iterator<char>(picture), {}};
  CHECK_THAT(svg, Catch::StartsWith("<svg ") && Catch::Contains("round_robin"));
}

TEST_CASE("A simulation gives the same for the same seed and something else for another", "[simulate]") {
  const auto with = [](const char* seed) { return simulate({"--strategy", "random_two", "--seed", seed}).out; };
  const auto first = with("3");
  CHECK_THAT(first, Catch::Contains("random_two"));
  CHECK(first == with("3"));
  CHECK(first != with("4"));
}

TEST_CASE("What cannot be simulated is refused with the place and the mend", "[simulate]") {
  const TemporaryFolder folder;
  const auto wrong = simulate({"--scenario", folder.write("wrong.toml", "lenght = 3\n")});
  CHECK(wrong.code == 2);
  CHECK_THAT(wrong.err, Catch::Contains("wrong.toml:1:1: unknown key scenario.lenght; did you mean length?"));
  const auto nowhere = simulate({"--scenario", "nowhere"});
  CHECK(nowhere.code == 2);
  CHECK_THAT(nowhere.err, Catch::Contains("lemonade simulate --list"));
  const auto stranger = simulate({"--strategy", "com.example.stranger"});
  CHECK(stranger.code == 2);
  CHECK_THAT(stranger.err, Catch::Contains("com.example.stranger"));
  const auto pool = simulate({"--config", threeBackends(folder, "round_robin"), "--pool", "wep"});
  CHECK(pool.code == 2);
  CHECK_THAT(pool.err, Catch::Contains("no pool wep; there are: default"));
  CHECK(simulate({"--runs", "0"}).code == 2);
}

TEST_CASE("The shipped scenarios are listed", "[simulate]") {
  const auto listed = simulate({"--list"});
  CHECK(listed.code == 0);
  CHECK_THAT(listed.out, Catch::Contains("one is 10x slow"));
}

}  // namespace lemonade::test
