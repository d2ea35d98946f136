// SPDX-License-Identifier: MIT
//
// A balancer that runs the turncoat of tests/bad_plugins, of which the second version does something wrong in one of
// its functions as soon as a test sets it off.
#pragma once

#include "e2e/late_plugin.h"
#include "e2e/reloading.h"
#include "e2e/restless.h"
#include "support/server.h"

#include <catch2/catch.hpp>

#include <filesystem>
#include <string>

namespace lemonade::test {

class Turned {
 public:
  static constexpr const char* kTrap = "127.0.0.99:0";

  /// deed is where and what, such as "pick:segv". It runs the second version, after the first, unless turns is false;
  /// below a supervisor where that is asked for. preflight is when a new version is tried beforehand.
  explicit Turned(const std::string& deed, const std::string& hang_limit = "400ms", int workers = 2, bool turns = true,
                  bool supervised = false, const std::string& preflight = "reload")
      : deed_(deed),
        placed_(place(0)),
        balancer(config(hang_limit, workers).set("plugins.preflight", preflight), environment(deed, supervised)) {
    REQUIRE(version() == "1.0.0");
    if (turns) turn();
  }

  Config config(const std::string& hang_limit, int workers) const {
    return unwatched()
        .raw("plugins.directories", "[\"" + folder.path().string() + "\", \"" + testPluginFolder() + "\"]")
        .set("plugins.hang_limit", hang_limit)
        .set("strategy.algorithm", "com.example.turncoat")
        .set("runtime.workers", workers)
        .backend("a", a.address())
        .backend("z", z.address());
  }

  /// Puts the second version, or the first, where the balancer finds it.
  bool place(int turns) const {
    std::filesystem::copy_file(LEMONADE_BAD_PLUGINS "/turncoat_" + std::to_string(turns) + ".so",
                               folder.path() / "new");
    std::filesystem::rename(folder.path() / "new", folder.path() / "turncoat.so");
    return true;
  }
  /// The second version takes the place of the first.
  void turn() {
    place(1);
    REQUIRE(requestReload(balancer).status == 200);
    REQUIRE(version() == "2.0.0");
  }

  /// A request from an address; who answered it.
  char requestFrom(const std::string& address) {
    Socket client = Socket::connect(balancer.address(), address);
    return request(client);
  }
  /// Sets it off, by way of a request that must be answered.
  void setOff() {
    if (deed_.starts_with("prepare")) {
      REQUIRE(httpGet(balancer.adminAddress(), "/api/v1/pools/default/backends/a/weight?value=13", "POST").status ==
              200);
      return;
    }
    CHECK(std::string("az").find(requestFrom(kTrap)) != std::string::npos);
  }
  HttpAnswer release() {
    return httpGet(balancer.adminAddress(), "/api/v1/plugins/com.example.turncoat/release", "POST");
  }
  std::string version() { return strategy(balancer)->getValue<std::string>("version"); }
  std::string state() { return strategy(balancer)->getValue<std::string>("state"); }
  /// The version before runs again. A hang has to last for its limit first, and on a busy machine the rest takes as
  /// long as it takes.
  bool isBack() {
    return eventually([this] { return version() == "1.0.0" && state() == "stands_in"; });
  }

 private:
  static Environment environment(const std::string& deed, bool supervised) {
    return lettingThingsLie(
        {{"LEMONADE_TURNCOAT", deed}, {"LEMONADE_LOG", ""}, {"LEMONADE_LB_SUPERVISOR", supervised ? "on" : "off"}});
  }
  const std::string deed_;

 public:
  Server a{http("a")}, z{http("z")};
  const TemporaryFolder folder;

 private:
  const bool placed_;

 public:
  Balancer balancer;
};

}  // namespace lemonade::test
