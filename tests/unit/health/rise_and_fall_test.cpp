// SPDX-License-Identifier: MIT
#include "health/rise_and_fall.h"

#include <catch2/catch.hpp>
#include <string>

using lemonade::health::RiseAndFall;

namespace {

/// The states after each check: 'P' passes and 'F' fails, 'U' is up and 'D' down.
std::string run(RiseAndFall& state, const std::string& checks) {
  std::string states;
  for (const char check : checks) states += state.observe(check == 'P') ? 'U' : 'D';
  return states;
}

std::string run(std::uint32_t rise, std::uint32_t fall, const std::string& checks) {
  RiseAndFall state(rise, fall);
  return run(state, checks);
}

}  // namespace

TEST_CASE("RiseAndFall that begins down takes rise checks and one that waits for its first check takes that",
          "[health][rise_and_fall]") {
  using lemonade::config::Initial;
  RiseAndFall down(2, 3, Initial::kDown);
  CHECK_FALSE(down.up());
  CHECK(run(down, "PFPPF") == "DDDUU");
  RiseAndFall check(2, 3, Initial::kCheck);
  CHECK_FALSE(check.up());
  CHECK(run(check, "PFF") == "UUU");
  RiseAndFall failed(2, 3, Initial::kCheck);
  CHECK(run(failed, "FPP") == "DDU");
}

TEST_CASE("RiseAndFall is up before the first check", "[health][rise_and_fall]") {
  const RiseAndFall state(2, 3);
  CHECK(state.up());
  CHECK_FALSE(state.checked());
}

TEST_CASE("RiseAndFall goes down at once where the very first check fails", "[health][rise_and_fall]") {
  CHECK(run(2, 3, "F") == "D");
  CHECK(run(1, 1, "F") == "D");
  CHECK(run(5, 9, "FPPPPP") == "DDDDDU");
}

TEST_CASE("RiseAndFall stays up for fall minus one failures after a first check that passed",
          "[health][rise_and_fall]") {
  CHECK(run(2, 3, "PFF") == "UUU");
  CHECK(run(2, 3, "PFFF") == "UUUD");
  CHECK(run(1, 1, "PF") == "UD");
  CHECK(run(3, 2, "PFF") == "UUD");
}

TEST_CASE("RiseAndFall comes up after exactly rise passes", "[health][rise_and_fall]") {
  CHECK(run(1, 3, "FP") == "DU");
  CHECK(run(2, 3, "FPP") == "DDU");
  CHECK(run(4, 3, "FPPPP") == "DDDDU");
}

TEST_CASE("RiseAndFall begins the way up anew after a failure", "[health][rise_and_fall]") {
  CHECK(run(3, 2, "FPPFPPP") == "DDDDDDU");
}

TEST_CASE("RiseAndFall that came up needs all of fall to go down again", "[health][rise_and_fall]") {
  CHECK(run(2, 3, "FPPFFF") == "DDUUUD");
}

TEST_CASE("RiseAndFall forgives one failure for each pass", "[health][rise_and_fall]") {
  CHECK(run(2, 3, "PFFPFF") == "UUUUUD");
  CHECK(run(2, 3, "PFFPPFF") == "UUUUUUU");
}

TEST_CASE("RiseAndFall keeps its side and begins anew when the counts change", "[health][rise_and_fall]") {
  RiseAndFall up(2, 3);
  CHECK(run(up, "PFF") == "UUU");
  up.configure(2, 2);
  CHECK(run(up, "FF") == "UD");
  up.configure(3, 2);
  CHECK(run(up, "PPP") == "DDU");
}

TEST_CASE("RiseAndFall is changing while part of the checks are in that take it to the other side",
          "[health][rise_and_fall]") {
  RiseAndFall state(2, 3);
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
