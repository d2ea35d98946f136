// SPDX-License-Identifier: MIT
//
// A plugin of tests/bad_plugins/late in a folder of a test's own: it behaves until the test turns it, and can be
// replaced by its next version.
#pragma once

#include "support/balancer.h"

#include <Poco/JSON/Array.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace lemonade::test {

/// An environment in which AddressSanitizer does not look for leaks: a call that is broken off leaves what it holds.
inline Environment lettingThingsLie(Environment environment = {}) {
  const char* const options = std::getenv("ASAN_OPTIONS");
  environment["ASAN_OPTIONS"] = (options != nullptr ? std::string(options) + ":" : "") + "detect_leaks=0";
  return environment;
}

class LatePlugin {
 public:
  /// name is that of its file, "late_checker".
  explicit LatePlugin(std::string name) : name_(std::move(name)) { become("1.0.0"); }

  void become(const std::string& version) const {
    const auto beside = folder_.path() / "new";
    std::filesystem::copy_file(std::filesystem::path(LEMONADE_LATE_PLUGINS) / version / (name_ + ".so"), beside);
    std::filesystem::rename(beside, folder_.path() / (name_ + ".so"));
  }
  /// From now on it does what its option says.
  void turn() const { (void)folder_.write("turned", ""); }
  /// It behaves again.
  void turnBack() const { std::filesystem::remove(folder_.path() / "turned"); }

  std::string folder() const { return folder_.path().string(); }
  std::string id() const { return "com.example." + name_; }
  /// The directories to look for plugins in, as TOML writes them.
  std::string directories() const { return "[\"" + folder_.path().string() + "\", \"" + testPluginFolder() + "\"]"; }
  /// Its options, as TOML writes them; more are written behind a comma.
  std::string options(const std::string& misdeed, const std::string& more = "") const {
    return "{when = \"" + (folder_.path() / "turned").string() + "\", misdeed = \"" + misdeed + "\"" + more + "}";
  }

 private:
  const std::string name_;
  const TemporaryFolder folder_;
};

/// What /api/v1/plugins says of a plugin.
inline Poco::JSON::Object::Ptr pluginStatus(Balancer& balancer, const std::string& id) {
  const auto plugins = balancer.status()->getArray("plugins");
  for (unsigned i = 0; i < plugins->size(); ++i)
    if (plugins->getObject(i)->getValue<std::string>("id") == id) return plugins->getObject(i);
  throw std::out_of_range("the status has no plugin " + id);
}

}  // namespace lemonade::test
