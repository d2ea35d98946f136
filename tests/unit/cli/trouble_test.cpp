// SPDX-License-Identifier: MIT
#include "cli/trouble.h"

#include "cli/show.h"

#include <catch2/catch.hpp>

#include <string>

using namespace lemonade::cli;

namespace {

constexpr const char* kQuarantined =
    R"("quarantined":[{"plugin":"com.example.turn","version":"2.0.0","file":"/opt/turn.so","generation":7,)"
    R"("function":"pick","reason":"SIGSEGV at 0x8 in pick","since":"2026-11-29T00:10:00.123456Z"}])";

Document status(const std::string& members) {
  const auto document = parseDocument("{" + members + "}");
  REQUIRE(document.ok());
  return document.value();
}

}  // namespace

TEST_CASE("A status without trouble has no line of it", "[cli]") {
  CHECK(troubleText(status(R"("quarantined":[],"slow_calls":[],"supervisor":{"deaths":0},"uptime_seconds":5)"), false)
            .empty());
  CHECK(troubleText(status(""), false).empty());  // of an older balancer
}

TEST_CASE("A status says that it is degraded and which call still runs", "[cli]") {
  const auto text = troubleText(
      status(std::string(kQuarantined) + R"(,"slow_calls":[{"plugin":"com.example.slow","version":"1.0.0",)" +
             R"("function":"flush","thread":"sinks","seconds":1.5}])"),
      false);
  CHECK(text ==
        "degraded: plugin com.example.turn 2.0.0 is quarantined: SIGSEGV at 0x8 in pick\n"
        "slow: flush of plugin com.example.slow 1.0.0 has run for 1.50 s in thread sinks\n");
}

TEST_CASE("A process that died is told of for an hour after the next one has begun", "[cli]") {
  const std::string died = R"("supervisor":{"deaths":2,"last_death":"SIGKILL"},"uptime_seconds":)";
  CHECK(troubleText(status(died + "5"), false) ==
        "started again: 2 processes have died since the supervisor began, the last one: SIGKILL\n");
  CHECK(troubleText(status(died + "3700"), false).empty());
  CHECK(troubleText(status(R"("supervisor":null,"uptime_seconds":5)"), false).empty());
}

TEST_CASE("The plugins are followed by what is quarantined and how it is released", "[cli]") {
  const auto text = showPlugins(
      status(std::string(R"("plugins":[{"kind":"strategy","pool":"web","id":"host","version":"","file":"",)") +
             R"("generation":8,"state":"stands_in"}],)" + kQuarantined),
      false);
  CHECK_THAT(text, Catch::Contains("stands_in") &&
                       Catch::EndsWith("\n"
                                       "plugin com.example.turn 2.0.0 is quarantined: SIGSEGV at 0x8 in pick\n"
                                       "  since 2026-11-29 00:10:00, generation 7, file /opt/turn.so\n"
                                       "  Bring another version of the file, or let this one try again: lemonade "
                                       "release com.example.turn\n"));
  CHECK_THAT(showPlugins(status(R"("plugins":[])"), false), !Catch::Contains("quarantined"));
}
