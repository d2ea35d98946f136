// SPDX-License-Identifier: MIT
//
// A balancer whose access log a test reads.
#pragma once

#include "e2e/reloading.h"

#include <Poco/JSON/Object.h>
#include <Poco/JSON/Parser.h>

#include <catch2/catch.hpp>

#include <cstddef>
#include <fstream>
#include <string>
#include <vector>

namespace lemonade::test {

/// Where the log of a test goes, in a folder that outlives the balancer.
class AccessLogFile {
 public:
  std::string path() const { return (folder_.path() / "access.log").string(); }

  std::vector<std::string> lines() const { return linesOf(path()); }
  static std::vector<std::string> linesOf(const std::string& path) {
    std::ifstream file(path);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
  }

  /// Waits until there are so many lines; all that there are then.
  std::vector<std::string> await(std::size_t count) const {
    REQUIRE(eventually([&] { return lines().size() >= count; }));
    return lines();
  }
  /// The only record of a log in JSON, once it is there.
  Poco::JSON::Object::Ptr only() const {
    const auto lines = await(1);
    REQUIRE(lines.size() == 1);
    return Poco::JSON::Parser().parse(lines[0]).extract<Poco::JSON::Object::Ptr>();
  }

 private:
  const TemporaryFolder folder_;
};

/// Writes an access log with these options, as TOML writes them.
inline Config loggedBy(Config config, const std::string& options) {
  return config.raw("metrics.sinks", R"(["prometheus", "access_log"])")
      .raw("metrics.options.access_log", "{" + options + "}");
}

/// The same into a file.
inline Config logged(Config config, const AccessLogFile& file, const std::string& format = "json",
                     const std::string& more = "") {
  return loggedBy(std::move(config), "to = \"" + file.path() + "\", format = \"" + format + "\"" + more);
}

}  // namespace lemonade::test
