// SPDX-License-Identifier: MIT
#include "supervisor/deaths.h"

#include <signal.h>

#include <catch2/catch.hpp>

namespace lemonade::supervisor {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

PluginCall callOf(const std::string& hash, const std::string& function = "pick") {
  return {"com.example." + hash, "1.0.0", hash, "/plugins/" + hash + ".so", function, "worker 1"};
}

/// It could not say anything, and these were running.
LastMoments silent(const std::vector<PluginCall>& running) { return {std::nullopt, running}; }

std::vector<std::string> hashesOf(const Deaths::Verdict& verdict) {
  std::vector<std::string> hashes;
  for (const auto& plugin : verdict.blamed) hashes.push_back(plugin.hash);
  return hashes;
}

const std::vector<std::string> kNobody;

}  // namespace

TEST_CASE("Five deaths within a minute are too many and four are not") {
  Deaths deaths;
  for (std::uint64_t i = 1; i <= 4; ++i) CHECK_FALSE(deaths.note(i * kSecond, "signal 9 (SIGKILL)", {}).too_many);
  SECTION("within a minute") { CHECK(deaths.note(60 * kSecond, "signal 9 (SIGKILL)", {}).too_many); }
  SECTION("over more than a minute") {
    CHECK_FALSE(deaths.note(61 * kSecond, "signal 9 (SIGKILL)", {}).too_many);
    CHECK(deaths.note(61 * kSecond + 1, "signal 9 (SIGKILL)", {}).too_many);
  }
}

TEST_CASE("A plugin whose call could not be left when it faulted is blamed at once") {
  Deaths deaths;
  LastMoments moments;
  moments.fault = FatalFault{callOf("bad"), SIGSEGV, 0x11f3, "in memory allocation"};
  moments.running = {callOf("bad"), callOf("good")};
  const auto verdict = deaths.note(kSecond, "signal 11 (SIGSEGV)", moments);
  REQUIRE(hashesOf(verdict) == std::vector<std::string>{"bad"});
  CHECK(verdict.blamed[0].id == "com.example.bad");
  CHECK(verdict.blamed[0].why == "pick faulted on worker 1 by signal 11 (SIGSEGV) at +0x11f3, in memory allocation");
}

TEST_CASE("Nobody is blamed for a fault outside of every plugin, not even who was running beside it") {
  Deaths deaths;
  LastMoments moments;
  moments.fault = FatalFault{std::nullopt, SIGSEGV, std::nullopt, ""};
  moments.running = {callOf("good")};
  CHECK(hashesOf(deaths.note(kSecond, "signal 11 (SIGSEGV)", moments)) == kNobody);
  CHECK(hashesOf(deaths.note(2 * kSecond, "signal 11 (SIGSEGV)", moments)) == kNobody);
  CHECK(describe(*moments.fault) == "the balancer faulted by signal 11 (SIGSEGV)");
}

TEST_CASE("A plugin that was running at two silent deaths within a minute is blamed at the second") {
  Deaths deaths;
  CHECK(hashesOf(deaths.note(kSecond, "signal 9 (SIGKILL)", silent({callOf("a"), callOf("b")}))) == kNobody);
  SECTION("the one that was running both times") {
    const auto verdict = deaths.note(30 * kSecond, "signal 9 (SIGKILL)", silent({callOf("b", "flush"), callOf("c")}));
    REQUIRE(hashesOf(verdict) == std::vector<std::string>{"b"});
    CHECK(verdict.blamed[0].why ==
          "flush was running when the balancer ended by signal 9 (SIGKILL), the second time within a minute");
  }
  SECTION("not where another death came between, if it is within the minute all the same") {
    CHECK(hashesOf(deaths.note(2 * kSecond, "signal 9 (SIGKILL)", silent({}))) == kNobody);
    CHECK(hashesOf(deaths.note(3 * kSecond, "signal 9 (SIGKILL)", silent({callOf("a")}))) ==
          std::vector<std::string>{"a"});
  }
  SECTION("not later") {
    CHECK(hashesOf(deaths.note(61 * kSecond, "signal 9 (SIGKILL)", silent({callOf("a")}))) == kNobody);
  }
}

TEST_CASE("A plugin in several threads at one death is still one suspicion") {
  Deaths deaths;
  CHECK(hashesOf(deaths.note(kSecond, "signal 9 (SIGKILL)", silent({callOf("a"), callOf("a")}))) == kNobody);
}

}  // namespace lemonade::supervisor
