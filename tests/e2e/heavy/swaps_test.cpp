// SPDX-License-Identifier: MIT
//
// A strategy swapped again and again, without preflights: nothing of a replaced one may stay.
#include "e2e/misfit.h"
#include "support/server.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <iterator>

namespace lemonade::test {
namespace {

namespace fs = std::filesystem;

/// What a process holds.
struct Holdings {
  explicit Holdings(pid_t pid) {
    const std::string proc = "/proc/" + std::to_string(pid);
    descriptors = std::distance(fs::directory_iterator(proc + "/fd"), {});
    threads = std::distance(fs::directory_iterator(proc + "/task"), {});
    std::ifstream maps(proc + "/maps");
    for (std::string line; std::getline(maps, line);) ++mappings;
    std::ifstream statm(proc + "/statm");
    long pages = 0;
    statm >> pages >> pages;
    resident_kib = pages * 4;
  }
  long descriptors = 0, threads = 0, mappings = 0, resident_kib = 0;
};

/// LEMONADE_TEST_SWAPS, which the long tier sets; few where sanitizers keep every image mapped.
int swaps() {
  const char* text = std::getenv("LEMONADE_TEST_SWAPS");
  return text == nullptr || LEMONADE_SANITIZED != 0 ? 50 : std::atoi(text);
}

}  // namespace

TEST_CASE("Swaps of a plugin that is safe to unmap leave nothing behind", "[swaps]") {
  Server a(named("a"));
  const Misfit misfit;
  Balancer balancer(misfit.config().backend("a", a.address()),
                    {{"LEMONADE_PREFLIGHT", "off"}, {"LEMONADE_LOG", "warn,admin=info,proxy=info,app=info"}});
  const auto swap = [&](int i) {
    const std::string misdeed = i % 2 == 0 ? "none_again" : "none";
    misfit.become(misdeed);
    REQUIRE(reloadNow(balancer).status == 200);
    REQUIRE(balancer.ask() == "a");
    REQUIRE(strategyVersion(balancer) == "1.0.0-" + misdeed);
  };
  // The first ones warm up what grows once: threads of the admin listener, heaps, buffers.
  for (int i = 0; i < 20; ++i) swap(i);
  const auto settle = [&] {
    return eventually([&] { return balancer.metric("lemonade_plugin_mapped_generations") == 3; });
  };
  if (LEMONADE_SANITIZED == 0) REQUIRE(settle());
  const Holdings before(balancer.process().pid());
  for (int i = 0; i < swaps(); ++i) swap(i);
  if (LEMONADE_SANITIZED == 0) CHECK(settle());
  const Holdings after(balancer.process().pid());
  CHECK(after.descriptors <= before.descriptors + 3);
  CHECK(after.threads <= before.threads + 2);
  if (LEMONADE_SANITIZED == 0) CHECK(after.mappings <= before.mappings + 20);
  if (LEMONADE_SANITIZED == 0) CHECK(after.resident_kib <= before.resident_kib + 8'192);
}

}  // namespace lemonade::test
