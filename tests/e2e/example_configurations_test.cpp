// SPDX-License-Identifier: MIT
//
// The files under config/examples do what they say: each runs with the addresses of this test in the place of its own.
#include "support/balancer.h"
#include "support/redis.h"
#include "support/server.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace lemonade::test {
namespace {

using Replacements = std::vector<std::pair<std::string, std::string>>;

/// The text of an example, every `first` replaced by its `second`; each must be there.
std::string example(const std::string& name, const Replacements& replacements) {
  std::ifstream file(std::string(LEMONADE_SOURCE_DIR) + "/config/examples/" + name);
  std::ostringstream content;
  content << file.rdbuf();
  std::string text = content.str();
  for (const auto& [from, to] : replacements) {
    const auto at = text.find(from);
    REQUIRE(at != std::string::npos);
    text.replace(at, from.size(), to);
  }
  return text;
}

/// What a test adds to every example: an admin listener on a port that the kernel chooses.
constexpr const char* kForTests = "\n[admin]\nlisten_address = \"127.0.0.1:0\"\n[runtime]\nworkers = 2\n";

}  // namespace

TEST_CASE("The example of web and database serves both from one process", "[examples][pools]") {
  Server web(http("web-1"));
  Redis primary, standby;
  const std::string port = std::to_string(portOf(web.address()));
  const std::string text = example("web-and-database.toml", {{"[\"0.0.0.0:80\", \"[::]:80\"]", "\"127.0.0.1:0\""},
                                                             {"127.0.0.1:6379", "127.0.0.1:0"},
                                                             {"10.0.1.[10-12]:8080", "127.0.0.1:" + port},
                                                             {"10.0.2.10:6379", primary.address()},
                                                             {"10.0.2.11:6379", standby.address()}});
  Balancer balancer(Config::verbatim(text + kForTests));
  CHECK(run({"curl", "-s", "http://" + balancer.addressOf("web")}).out == "web-1");
  const std::string database = std::to_string(portOf(balancer.addressOf("database")));
  CHECK(run({"redis-cli", "-p", database, "set", "key", "value"}).out == "OK\n");
  CHECK(primary.cli({"get", "key"}) == "value\n");
  CHECK(standby.cli({"get", "key"}) == "\n");
}

}  // namespace lemonade::test
