// SPDX-License-Identifier: MIT
//
// The folder of private copies may go at any time, and what a killed process left is swept.
#include "e2e/misfit.h"
#include "e2e/reloading.h"
#include "support/facts.h"
#include "support/server.h"

#include <signal.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <set>

namespace lemonade::test {
namespace {

namespace fs = std::filesystem;

std::set<fs::path> foldersIn(const TemporaryFolder& folder) {
  return {fs::directory_iterator(folder.path()), fs::directory_iterator()};
}

Config copying(const Misfit& misfit, const TemporaryFolder& copies) {
  return misfit.config().set("plugins.cache_directory", copies.path().string()).backend("a", "127.0.0.1:1");
}

}  // namespace

TEST_CASE("A start removes the copies that a killed balancer left and none of one that runs", "[control]") {
  const Misfit misfit;
  const TemporaryFolder copies;
  Balancer running(copying(misfit, copies));
  const auto its = foldersIn(copies);
  REQUIRE(its.size() == 1);
  Process killed(lemonade({"lb", "--config", running.folder().write("lemonade.toml", copying(misfit, copies).text())}));
  waitUntilReady(killed);
  REQUIRE(foldersIn(copies).size() == 2);
  killed.signal(SIGKILL);
  REQUIRE(killed.wait() == 128 + SIGKILL);
  {
    Balancer next(copying(misfit, copies));
    CHECK(field(next.process().waitForLog("that killed processes left"), "folders") == "1");
    CHECK(foldersIn(copies).size() == 2);
    CHECK(foldersIn(copies).contains(*its.begin()));
  }
  CHECK(foldersIn(copies) == its);
  misfit.become("none_again");
  CHECK(reloadNow(running).status == 200);
  CHECK(running.process().countLog("private copies of plugins cannot go") == 0);
}

TEST_CASE("A swap goes on where the folder of copies is gone, and the log says where to", "[control]") {
  const Misfit misfit;
  const TemporaryFolder copies;
  Balancer balancer(copying(misfit, copies));
  std::string where = "they are made in " + copies.path().string();
  SECTION("removed") { fs::remove_all(*foldersIn(copies).begin()); }
  SECTION("removed with the one above") { fs::remove_all(copies.path()); }
  SECTION("and cannot be made anew") {
    fs::remove_all(copies.path());
    std::ofstream(copies.path()) << "a file";
    where = "they are ";
  }
  misfit.become("none_again");
  const auto answer = reloadNow(balancer);
  CHECK(answer.status == 200);
  CHECK(contains(answer.body, "new code"));
  CHECK(contains(balancer.process().waitForLog("private copies of plugins cannot go where they should"), where));
  misfit.become("none_but_last");
  CHECK(reloadNow(balancer).status == 200);
}

}  // namespace lemonade::test
