// SPDX-License-Identifier: MIT
#include "health/state.h"

#include <catch2/catch.hpp>
#include <string>

using lemonade::health::State;

namespace {

/// The states after each check: 'P' passes and 'F' fails, 'U' is up and 'D' down.
std::string run(State& state, const std::string& checks) {
  std::string states;
  for (const char check : checks) states += state.observe(check == 'P') ? 'U' : 'D';
  return states;
}

std::string run(std::uint32_t rise, std::uint32_t fall, const std::string& checks) {
  State state(rise, fall);
  return run(state, checks);
}

}  // namespace

TEST_CASE("State that begins down takes rise checks and one that waits for its first check takes that",
          "[health][state]") {
  using lemonade::config::Initial;
  State down(2, 3, Initial::kDown);
  CHECK_FALSE(down.up());
  CHECK(run(down, "PFPPF") == "DDDUU");
  State check(2, 3, Initial::kCheck);
  CHECK_FALSE(check.up());
  CHECK(run(check, "PFF") == "UUU");
  State failed(2, 3, Initial::kCheck);
  CHECK(run(failed, "FPP") == "DDU");
}

TEST_CASE("State is up before the first check", "[health][state]") {
  const State state(2, 3);
  CHECK(state.up());
  CHECK_FALSE(state.checked());
}

TEST_CASE("State goes down at once where the very first check fails", "[health][state]") {
  CHECK(run(2, 3, "F") == "D");
  CHECK(run(1, 1, "F") == "D");
  CHECK(run(5, 9, "FPPPPP") == "DDDDDU");
}

TEST_CASE("State stays up for fall minus one failures after a first check that passed", "[health][state]") {
  CHECK(run(2, 3, "PFF") == "UUU");
  CHECK(run(2, 3, "PFFF") == "UUUD");
  CHECK(run(1, 1, "PF") == "UD");
  CHECK(run(3, 2, "PFF") == "UUD");
}

TEST_CASE("State comes up after exactly rise passes", "[health][state]") {
  CHECK(run(1, 3, "FP") == "DU");
  CHECK(run(2, 3, "FPP") == "DDU");
  CHECK(run(4, 3, "FPPPP") == "DDDDU");
}

TEST_CASE("State begins the way up anew after a failure", "[health][state]") {
  CHECK(run(3, 2, "FPPFPPP") == "DDDDDDU");
}

TEST_CASE("State that came up needs all of fall to go down again", "[health][state]") {
  CHECK(run(2, 3, "FPPFFF") == "DDUUUD");
}

TEST_CASE("State forgives one failure for each pass", "[health][state]") {
  CHECK(run(2, 3, "PFFPFF") == "UUUUUD");
  CHECK(run(2, 3, "PFFPPFF") == "UUUUUUU");
}

TEST_CASE("State keeps its side and begins anew when the counts change", "[health][state]") {
  State up(2, 3);
  CHECK(run(up, "PFF") == "UUU");
  up.configure(2, 2);
  CHECK(run(up, "FF") == "UD");
  up.configure(3, 2);
  CHECK(run(up, "PPP") == "DDU");
}

TEST_CASE("State is changing while part of the checks are in that take it to the other side", "[health][state]") {
  State state(2, 3);
  const auto after = [&](bool passed) {
    state.observe(passed);
    return state.changing();
  };
  CHECK_FALSE(state.changing());
  CHECK_FALSE(after(true));
  CHECK(after(false));
  CHECK_FALSE(after(true));
  CHECK(after(false));
  CHECK(after(false));
  CHECK_FALSE(after(false));
  CHECK(after(true));
  CHECK_FALSE(after(false));
  CHECK(after(true));
  CHECK_FALSE(after(true));
}
