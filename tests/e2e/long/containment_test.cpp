// SPDX-License-Identifier: MIT
//
// A strategy that faults ten times a second, because it is released again and again, and clients that never notice. In
// the run of every misdeed it does so for a minute, in the short one for some seconds.
#include "e2e/turncoat.h"

#include <catch2/catch.hpp>

#include <chrono>
#include <fstream>
#include <string>
#include <thread>

namespace lemonade::test {
namespace {

/// Kilobytes of memory that a process has.
long residentOf(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::stol(line.substr(6));
  return 0;
}

}  // namespace

TEST_CASE("Clients at full speed see no failure of a strategy that faults ten times a second",
          "[containment][misdeeds]") {
  // A preflight is a process for each release, which takes longer than that where the machine is busy.
  Turned turned("pick:segv", "2s", 4, true, false, "off");
  auto& balancer = turned.balancer;
  Load load(balancer);
  const auto until = std::chrono::steady_clock::now() + (everyMisdeed() ? 60s : 5s);
  int faults = 0;
  long memory = 0;
  for (auto next = std::chrono::steady_clock::now(); std::chrono::steady_clock::now() < until; next += 100ms) {
    turned.setOff();
    REQUIRE(turned.isBack());
    REQUIRE(turned.release().status == 200);
    if (++faults == 20) memory = residentOf(balancer.process().pid());
    std::this_thread::sleep_until(next + 100ms);  // the rate of the faults, which nothing waits for
  }
  WARN(faults << " faults, memory grew from " << memory << " to " << residentOf(balancer.process().pid()) << " kB");
  load.check(faults);
  if (everyMisdeed() && LEMONADE_SANITIZED == 0) CHECK(faults > 540);  // of 600
  CHECK(balancer.metric("lemonade_plugin_faults_total", {"kind=\"SIGSEGV\""}) >= faults);
  if (LEMONADE_SANITIZED == 0 && memory != 0) CHECK(residentOf(balancer.process().pid()) < memory + 8'000);
}

}  // namespace lemonade::test
