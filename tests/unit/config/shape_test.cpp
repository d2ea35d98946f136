// SPDX-License-Identifier: MIT
#include "config/shape.h"

#include "support.h"
#include "support/deadline.h"

#include <catch2/catch.hpp>

using namespace lemonade;
using namespace lemonade::config;
using namespace lemonade::config::test;
using namespace std::chrono_literals;
using Catch::Contains;

namespace {

std::string times(int count, const std::string& text) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

/// The one finding of a file, which must not cost the stack.
std::string onlyFinding(const std::string& text) {
  const auto loaded = parsed(kBackend + text);
  REQUIRE(loaded.findings.size() == 1);
  CHECK_FALSE(loaded.ok());
  return loaded.findings[0].line();
}

}  // namespace

TEST_CASE("A key or a header of very many parts is one finding with its place", "[config]") {
  const std::string dots = times(100'000, "a.");
  for (const auto& text : {dots + "a = 1\n", "[" + dots + "a]\nb = 1\n", "[[" + dots + "a]]\nb = 1\n",
                           "x = {" + dots + "a = 1}\n", times(100'000, "\"a\" . ") + "a = 1\n"})
    CHECK_THAT(onlyFinding(text), Contains("test.toml:3:") && Contains("a key has more than 32 parts"));
}

TEST_CASE("Lists and tables that are nested deeply are one finding with its place", "[config]") {
  for (const auto& text : {"x = " + times(100'000, "["), "x = " + times(100'000, "{a = "),
                           "x = " + times(50'000, "[{a = "), "x = " + times(40, "[") + times(40, "]") + "\n"})
    CHECK_THAT(onlyFinding(text), Contains("test.toml:3:") && Contains("more than 32 deep"));
}

TEST_CASE("The deepest tree that is let through costs no stack", "[config]") {
  const std::string key = times(31, "a.") + "a";
  CHECK_FALSE(
      parsed(kBackend + "[" + key + "]\n" + times(30, key + " = {") + key + " = 1" + times(30, "}") + "\n").ok());
}

TEST_CASE("More values than a configuration has are one finding", "[config]") {
  for (const auto& text :
       {times(250'001, "a = 1\n"), "a = [" + times(250'001, "1,") + "]\n", times(125'001, "[[b]]\n")})
    CHECK_THAT(onlyFinding(text), Contains("more than 250000 values"));
}

TEST_CASE("Dots and brackets in strings and comments count for nothing", "[config]") {
  const std::string dots = times(100, ".[{=");
  CHECK_FALSE(excessOf("a = \"" + dots + "\\\"" + dots + "\"\n"));
  CHECK_FALSE(excessOf("a = '" + dots + "\\'\n"));
  CHECK_FALSE(excessOf("# " + dots + "\n"));
  CHECK_FALSE(excessOf("a = \"\"\"" + dots + "\n\"" + dots + "\\\"\"\"\"" + "\n"));
  CHECK_FALSE(excessOf("a = '''" + dots + "\n''" + dots + "'''\n"));
  CHECK_FALSE(excessOf(times(1'000, "[a.b.c]\nd = [1.5, 2.5, 3.5]\n")));
}

TEST_CASE("What stands behind a string is seen", "[config]") {
  const std::string deep = times(40, "[");
  for (const auto& text : {"a = \"\\\\\"\n", "a = '\\'\n", "a = \"\"\"x\"\"\"\"\"\n", "a = '''x'''''\n", "a = \"\"\n",
                           "a = \"\"\"\"\"\"\n", "a = \"\"\"\\\n\"\"\"\n", "# \"\n"})
    CHECK(excessOf(text + ("b = " + deep)));
}

TEST_CASE("Very many mistakes are a hundred findings from the top of the file", "[config]") {
  std::string text = kBackend + "[proxy]\n";
  for (int i = 0; i < 200'000; ++i) text += "unknown_key_" + std::to_string(i) + " = 1\n";
  const lemonade::test::Stopwatch stopwatch;
  const auto loaded = parsed(text);
  CHECK_FALSE(loaded.ok());
  REQUIRE(loaded.findings.size() == 100);
  CHECK_THAT(loaded.findings[0].line(), Contains("test.toml:4:1: unknown key proxy.unknown_key_0;"));
  CHECK_THAT(loaded.findings[98].line(), Contains("test.toml:102:1: unknown key proxy.unknown_key_98;"));
  CHECK(loaded.findings[99].line() == "test.toml: and 199901 more like these");
  CHECK(stopwatch.elapsed() < 10s);
}

TEST_CASE("An error that is left out is one all the same", "[config]") {
  Findings findings;
  for (std::uint32_t line = 1; line <= 1'000; ++line) findings.warning({"f", line, 1}, "odd");
  findings.error({"f", 2'000, 1}, "wrong");
  Findings whole;
  whole.add(std::move(findings).take());
  whole.error({"f", 3'000, 1}, "wrong, too");
  const auto taken = std::move(whole).take();
  REQUIRE(taken.size() == 100);
  CHECK(hasErrors(taken));
  CHECK(taken.back().line() == "f: and 903 more like these");
}

TEST_CASE("A finding is no longer than can be read", "[config]") {
  const auto loaded = parsed(kBackend + "\"" + std::string(1'000'000, 'x') + "\" = 1\n");
  REQUIRE(loaded.findings.size() == 1);
  CHECK(loaded.findings[0].line().size() < 3'000);
}
