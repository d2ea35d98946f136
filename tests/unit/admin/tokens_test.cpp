// SPDX-License-Identifier: MIT
#include "admin/tokens.h"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace lemonade::admin;

namespace {

const std::string kOne = "0123456789abcdef";
const std::string kOther = "fedcba9876543210";

struct Parsed {
  explicit Parsed(const std::string& text) : tokens(Tokens::parse(text, problems)) {}

  std::vector<Tokens::Problem> problems;
  Tokens tokens;
};

}  // namespace

TEST_CASE("Tokens are one a line with a name or without", "[admin]") {
  const Parsed parsed("# who may change something\n\n" + kOne + "\r\n  ci : " + kOther + " \n");
  CHECK(parsed.problems.empty());
  CHECK(parsed.tokens.ownerOf(kOne) == "line 3");
  CHECK(parsed.tokens.ownerOf(kOther) == "ci");
}

TEST_CASE("Nobody has a token that is nearly one", "[admin]") {
  const Parsed parsed("ci: " + kOne);
  for (const auto& guess : {std::string(), kOne + "x", kOne.substr(1), kOne.substr(0, 15), kOne + kOne, "ci: " + kOne,
                            std::string("0123456789abcdeF"), std::string("1123456789abcdef")}) {
    CAPTURE(guess);
    CHECK_FALSE(parsed.tokens.ownerOf(guess));
  }
  CHECK_FALSE(Tokens().ownerOf(""));
}

TEST_CASE("A line that is no token is passed over and named without the token", "[admin]") {
  const Parsed parsed("short\n" + kOne + "\nname with spaces: " + kOther + "\nci: " + kOther + " twice\n: " + kOther +
                      "\n" + std::string(Tokens::kLongest + 1, 'x') + "\n");
  std::vector<std::size_t> lines;
  for (const auto& problem : parsed.problems) {
    lines.push_back(problem.line);
    CHECK(problem.text.find(kOther) == std::string::npos);
  }
  CHECK(lines == std::vector<std::size_t>{1, 3, 4, 5, 6});
  CHECK(parsed.tokens.ownerOf(kOne) == "line 2");
  CHECK_FALSE(parsed.tokens.ownerOf("short"));
}

TEST_CASE("Tokens of a file are no more than can be compared with what every client sends", "[admin]") {
  std::string text;
  for (std::size_t i = 0; i <= Tokens::kMostTokens; ++i) text += kOne + std::to_string(i) + "\n";
  const Parsed parsed(text);
  REQUIRE(parsed.problems.size() == 1);
  CHECK(parsed.problems.front().line == Tokens::kMostTokens + 1);
}
