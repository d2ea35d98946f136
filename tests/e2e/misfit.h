// SPDX-License-Identifier: MIT
//
// The misfit of tests/bad_plugins in a folder of a test's own: a strategy that is replaced by one with another misdeed,
// or by one with none.
#pragma once

#include "support/balancer.h"

#include <Poco/JSON/Array.h>

#include <filesystem>
#include <string>

namespace lemonade::test {

/// A folder that holds the misfit in the shape of one misdeed at a time.
class Misfit {
 public:
  explicit Misfit(const std::string& misdeed = "none") { become(misdeed); }
  void become(const std::string& misdeed) const {
    std::filesystem::copy_file(LEMONADE_BAD_PLUGINS "/" + misdeed + ".so", folder_.path() / "new");
    std::filesystem::rename(folder_.path() / "new", file());
  }
  std::string file() const { return (folder_.path() / "misfit.so").string(); }
  Config config() const {
    return Config()
        .set("strategy.algorithm", "com.example.misfit")
        .set("runtime.config_watch_interval_millis", 3'600'000)
        .raw("plugins.directories", "[\"" + folder_.path().string() + "\", \"" + testPluginFolder() + "\"]");
  }

 private:
  const TemporaryFolder folder_;
};

/// Asks for a reload and waits for it.
inline HttpAnswer reloadNow(Balancer& balancer) { return httpGet(balancer.adminAddress(), "/api/v1/reload", "POST"); }

inline std::string strategyVersion(Balancer& balancer) {
  return balancer.status()->getArray("plugins")->getObject(0)->getValue<std::string>("version");
}

}  // namespace lemonade::test
