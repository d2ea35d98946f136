// SPDX-License-Identifier: MIT
//
// What is known of a backend whose id and address stay survives reloads and swaps: health, averages, counters.
#include "e2e/reloading.h"
#include "support/server.h"

#include <Poco/JSON/Stringifier.h>

#include <catch2/catch.hpp>
#include <sstream>

namespace lemonade::test {
namespace {

namespace fs = std::filesystem;

/// Everything that the status says of a backend but its rate, which depends on when it is asked.
std::string known(Balancer& balancer, const std::string& id) {
  auto backend = balancer.backend(id);
  for (const char* key : {"exchange_rate", "weight"}) backend->remove(key);
  std::ostringstream text;
  backend->stringify(text);
  return text.str();
}

void place(const TemporaryFolder& folder, const std::string& version) {
  const fs::path beside = folder.path() / "new";
  fs::copy_file(fs::path(LEMONADE_SWAPPED_FOLDER) / (version + ".so"), beside);
  fs::rename(beside, folder.path() / "always.so");
}

}  // namespace

TEST_CASE("Health and times and counters of a backend survive reloads and swaps", "[reload][swap]") {
  Server a(echo());
  RefusingPort dead;
  const TemporaryFolder folder;
  place(folder, "always_first");
  Config config = unwatched().realChecks();
  config.raw("plugins.directories", "[\"" + folder.path().string() + "\", \"" + testPluginFolder() + "\"]")
      .set("strategy.algorithm", "com.example.always");
  const auto with = [&](int weight) {
    return Config(config).backend("a", a.address(), "weight = " + std::to_string(weight)).backend("dead", dead.address());
  };
  Balancer balancer(with(1));
  REQUIRE(eventually([&] { return balancer.backend("dead")->getValue<std::string>("state") == "down"; }));
  for (int i = 0; i < 5; ++i) {
    Socket client = balancer.connect();
    for (int exchange = 0; exchange < 4; ++exchange) {
      client.send("hello");
      REQUIRE(client.receive(5) == "hello");
    }
  }
  REQUIRE(eventually([&] { return balancer.active("a") == 0; }));
  const std::string of_a = known(balancer, "a"), of_dead = known(balancer, "dead");
  INFO(of_a);
  REQUIRE(contains(of_a, "\"sessions\":5"));
  REQUIRE(contains(of_a, "\"exchanges\":20"));
  REQUIRE(contains(of_a, "\"samples\":20"));
  const auto sum = [&] { return balancer.metric("lemonade_backend_exchange_seconds_sum", {"backend=\"a\""}); };
  const double seconds = sum();

  SECTION("a reload") { reload(balancer, with(7)); }
  SECTION("a swap") {
    place(folder, "always_last");
    CHECK(contains(requestReload(balancer).body, "new code, version 2.0.0"));
  }
  SECTION("another strategy and other sinks and workers") {
    reload(balancer, with(3)
                         .set("strategy.algorithm", "fastest_response_time")
                         .raw("metrics.sinks", "[\"log\", \"prometheus\"]")
                         .set("runtime.workers", 3));
  }
  CHECK(generation(balancer) == 2);
  CHECK(known(balancer, "a") == of_a);
  CHECK(known(balancer, "dead") == of_dead);
  CHECK(sum() == seconds);
  CHECK(balancer.process().countLog("backend is down") == 1);
}

}  // namespace lemonade::test
