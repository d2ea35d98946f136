// SPDX-License-Identifier: MIT
#include "cli/dialogue.h"

#include <catch2/catch.hpp>

#include <string>

using namespace lemonade::cli;

namespace {

Dialogue dialogue() {
  return {"web",
          "a",
          "127.0.0.1:80",
          "http",
          {{1'000'000, "sent", "GET / HTTP/1.1\r\n\r\n"},
           {2'500'000, "received", std::string("\x01ok\xff\n", 5)},
           {3'000'000, "verdict", "not alive, \033[2J"}},
          "failed",
          "status 503",
          3'100'000};
}

}  // namespace

TEST_CASE("A dialogue is shown line by line and bytes that are not printed as such", "[cli]") {
  CHECK(showDialogue(dialogue(), false) ==
        "web/a at 127.0.0.1:80, checker http\n"
        "    1.000 ms  sent 18 bytes\n"
        "              > GET / HTTP/1.1\n"
        "              > \n"
        "    2.500 ms  received 5 bytes\n"
        "              < \\x01ok\\xff\n"
        "    3.000 ms  verdict: not alive,  [2J\n"
        "    3.100 ms  failed: status 503\n");
}

TEST_CASE("What is sent in many lines is cut", "[cli]") {
  Dialogue long_one{"web", "a", "127.0.0.1:80", "http", {{0, "received", std::string(100, '\n')}}, "passed", "", 0};
  CHECK_THAT(showDialogue(long_one, false), Catch::Contains("60 more lines"));
  CHECK(long_one.passed());
}

TEST_CASE("A dialogue as JSON has each step with its bytes counted", "[cli]") {
  const auto text = dialoguesJson({dialogue()});
  for (const char* part : {"\"outcome\": \"failed\"", "\"at_ms\": 1", "\"bytes\": 18", "\"what\": \"sent\""})
    CHECK_THAT(text, Catch::Contains(part));
}
