// SPDX-License-Identifier: MIT
#include "plugin/options.h"

#include <catch2/catch.hpp>

#include <cmath>
#include <limits>

using namespace lemonade;
using namespace lemonade::plugin;

namespace {

const lemonade_option_t kRows[] = {
    {LEMONADE_STR("eager"), LEMONADE_OPTION_BOOLEAN, 0, 0, 0, LEMONADE_STR("true"), {}, LEMONADE_STR("doc")},
    {LEMONADE_STR("count"), LEMONADE_OPTION_INTEGER, 0, 1, 10, LEMONADE_STR("3"), {}, LEMONADE_STR("doc")},
    {LEMONADE_STR("share"), LEMONADE_OPTION_NUMBER, 0, 0, 1, LEMONADE_STR("0.5"), {}, LEMONADE_STR("doc")},
    {LEMONADE_STR("window"), LEMONADE_OPTION_DURATION, 0, 1, 60'000, LEMONADE_STR("10s"), {}, LEMONADE_STR("doc")},
    {LEMONADE_STR("mode"), LEMONADE_OPTION_CHOICE, 0, 0, 0, LEMONADE_STR("fast"), LEMONADE_STR("fast,safe"),
     LEMONADE_STR("doc")},
    {LEMONADE_STR("label"), LEMONADE_OPTION_STRING, LEMONADE_OPTION_REQUIRED, 0, 0, {}, {}, LEMONADE_STR("who it is")},
};

struct Fixture {
  Fixture() {
    plugin.option_count = 6;
    plugin.option_stride = sizeof(lemonade_option_t);
    plugin.options = kRows;
    choice.id = "p";
    choice.source = {"file.toml", 1, 1};
    give("label", std::string("me"));
  }
  void give(const std::string& key, decltype(config::OptionValue::value) value) {
    choice.options.push_back({key, std::move(value), {"file.toml", 9, 5}});
  }
  OptionSet build() { return OptionSet::build(plugin, choice, problems); }
  const lemonade_option_value_t& value(const OptionSet& set, std::size_t i) { return set.get().values[i]; }

  lemonade_plugin_t plugin{};
  config::PluginChoice choice;
  std::vector<OptionProblem> problems;
};

}  // namespace

TEST_CASE_METHOD(Fixture, "OptionSet fills in the defaults of the schema", "[plugin]") {
  const auto set = build();
  REQUIRE(problems.empty());
  CHECK(value(set, 0).integer == 1);
  CHECK(value(set, 1).integer == 3);
  CHECK(value(set, 2).number == 0.5);
  CHECK(value(set, 3).integer == 10'000'000'000);
  CHECK(std::string(value(set, 4).text.data, value(set, 4).text.size) == "fast");
}

TEST_CASE_METHOD(Fixture, "OptionSet takes what the operator wrote", "[plugin]") {
  give("eager", false);
  give("count", std::int64_t{10});
  give("share", std::int64_t{1});
  give("window", std::string("500ms"));
  give("mode", std::string("safe"));
  const auto set = build();
  REQUIRE(problems.empty());
  CHECK(value(set, 0).integer == 0);
  CHECK(value(set, 1).integer == 10);
  CHECK(value(set, 2).number == 1.0);
  CHECK(value(set, 3).integer == 500'000'000);
  CHECK(std::string(value(set, 4).text.data, value(set, 4).text.size) == "safe");
  CHECK(std::string(value(set, 5).text.data, value(set, 5).text.size) == "me");
}

TEST_CASE_METHOD(Fixture, "OptionSet reads an integer duration as milliseconds", "[plugin]") {
  give("window", std::int64_t{20});
  CHECK(value(build(), 3).integer == 20'000'000);
}

TEST_CASE_METHOD(Fixture,
                 "OptionSet takes numbers as large as they come and no duration that is longer than can be said",
                 "[plugin]") {
  const lemonade_option_t rows[] = {
      {LEMONADE_STR("share"), LEMONADE_OPTION_NUMBER, 0, 0, 0, LEMONADE_STR("0"), {}, LEMONADE_STR("doc")},
      {LEMONADE_STR("window"), LEMONADE_OPTION_DURATION, 0, 0, 0, LEMONADE_STR("0s"), {}, LEMONADE_STR("doc")},
      {LEMONADE_STR("count"), LEMONADE_OPTION_INTEGER, 0, 0, 0, LEMONADE_STR("0"), {}, LEMONADE_STR("doc")},
  };
  plugin.option_count = 3;
  plugin.options = rows;
  choice.options.clear();
  give("share", 1e308);
  give("window", std::int64_t{315'360'000'000});
  give("count", std::numeric_limits<std::int64_t>::min());
  const auto set = build();
  REQUIRE(problems.empty());
  CHECK(value(set, 0).number == 1e308);
  CHECK(value(set, 1).integer == 315'360'000'000'000'000);
  CHECK(value(set, 2).integer == std::numeric_limits<std::int64_t>::min());

  for (const std::int64_t millis : {std::int64_t{315'360'000'001}, std::numeric_limits<std::int64_t>::max()}) {
    choice.options.clear();
    problems.clear();
    give("window", millis);
    (void)build();
    REQUIRE(problems.size() == 1);
    CHECK_THAT(problems[0].text, Catch::EndsWith("of at most ten years"));
  }
}

TEST_CASE_METHOD(Fixture, "OptionSet takes nothing for a range whose ends are no numbers", "[plugin]") {
  const double nan = std::nan("");
  const lemonade_option_t rows[] = {
      {LEMONADE_STR("share"), LEMONADE_OPTION_NUMBER, 0, nan, nan, LEMONADE_STR("0"), {}, LEMONADE_STR("doc")}};
  plugin.option_count = 1;
  plugin.options = rows;
  choice.options.clear();
  give("share", 0.5);
  (void)build();
  CHECK(problems.size() == 1);
}

TEST_CASE_METHOD(Fixture, "OptionSet reports every wrong option where it was written", "[plugin]") {
  give("eager", std::int64_t{1});
  give("count", std::int64_t{11});
  give("share", std::string("half"));
  give("window", std::string("soon"));
  give("mode", std::string("slow"));
  (void)build();
  REQUIRE(problems.size() == 5);
  CHECK(problems[0].text == "eager must be true or false");
  CHECK(problems[1].text == "count must be from 1 to 10");
  CHECK(problems[2].text == "share must be a number");
  CHECK_THAT(problems[3].text, Catch::StartsWith("window must be a duration"));
  CHECK(problems[4].text == "mode must be one of fast,safe, not \"slow\"");
  CHECK(problems[0].source.line == 9);
}

TEST_CASE_METHOD(Fixture, "OptionSet names the option that a misspelt one was meant to be", "[plugin]") {
  give("windw", std::string("1s"));
  (void)build();
  REQUIRE(problems.size() == 1);
  CHECK_THAT(problems[0].text, Catch::Contains("no option \"windw\"") && Catch::Contains("did you mean window?"));
}

TEST_CASE_METHOD(Fixture, "OptionSet asks for a required option and says what it is", "[plugin]") {
  choice.options.clear();
  (void)build();
  REQUIRE(problems.size() == 1);
  CHECK_THAT(problems[0].text, Catch::Contains("needs the option \"label\"") && Catch::Contains("who it is"));
  CHECK(problems[0].source.line == 1);
}

TEST_CASE("Options of backends are checked against what the strategy declares for them", "[plugin]") {
  lemonade_strategy_t strategy{};
  strategy.struct_size = sizeof(strategy);
  strategy.backend_options = kRows;
  strategy.backend_option_count = 5;
  strategy.backend_option_stride = sizeof(lemonade_option_t);
  const auto schema = OptionSchema::ofBackends(strategy, "p");
  std::vector<OptionProblem> problems;
  const auto set = OptionSet::build(
      schema, {{"count", std::int64_t{99}, {"file.toml", 7, 3}}, {"coumt", std::int64_t{1}, {"file.toml", 8, 3}}},
      {"file.toml", 6, 1}, problems);
  REQUIRE(problems.size() == 2);
  CHECK(problems[0].text == "plugin p has no option \"coumt\" for backends; did you mean count?");
  CHECK(problems[0].source.text() == "file.toml:8:3");
  CHECK(problems[1].text == "count must be from 1 to 10");
}

TEST_CASE("Rows of options of backends that cannot be read are none", "[plugin]") {
  lemonade_strategy_t strategy{};
  strategy.struct_size = sizeof(strategy);
  strategy.backend_option_count = 5;
  strategy.backend_option_stride = sizeof(lemonade_option_t);
  CHECK(OptionSchema::ofBackends(strategy, "p").count == 0);  // they are nowhere
  strategy.backend_options = kRows;
  CHECK(OptionSchema::ofBackends(strategy, "p").count == 5);
  strategy.backend_option_stride = sizeof(lemonade_option_t) - 8;
  CHECK(OptionSchema::ofBackends(strategy, "p").count == 0);
}

TEST_CASE("A strategy that declares no options of backends takes none", "[plugin]") {
  lemonade_strategy_t strategy{};
  strategy.struct_size = GENERATE(std::uint32_t{LEMONADE_SIZE_TO(lemonade_strategy_t, import_state)},
                                  std::uint32_t{sizeof(lemonade_strategy_t)});
  if (strategy.struct_size != sizeof(strategy)) {  // one of ABI 1.0: what lies behind it is not its own
    strategy.backend_options = kRows;
    strategy.backend_option_count = 5;
  }
  std::vector<OptionProblem> problems;
  const auto schema = OptionSchema::ofBackends(strategy, "p");
  (void)OptionSet::build(schema, {{"count", std::int64_t{1}, {"file.toml", 7, 3}}}, {}, problems);
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].text == "plugin p has no option \"count\" for backends; it has none: remove the key");
}
