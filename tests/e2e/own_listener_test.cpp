// SPDX-License-Identifier: MIT
//
// A backend that is one of our own listeners: said by --validate, and nobody is sent there.
#include "e2e/reloading.h"
#include "support/balancer.h"
#include "support/server.h"

#include <catch2/catch.hpp>

namespace lemonade::test {

TEST_CASE("A backend that is one of our own listeners gets no client", "[own_listener]") {
  Server server(named("a"));
  Balancer balancer(unwatched().backend("a", server.address()));
  const auto own = balancer.address();
  const std::string name = GENERATE("127.0.0.1", "localhost");
  const auto loop = name + own.substr(own.rfind(':'));
  const auto config = unwatched().set("proxy.listen_address", own);
  (void)reload(balancer, Config(config).backend("loop", loop));
  balancer.process().waitForLog("a backend is one of our own listeners");
  CHECK(balancer.ask().empty());
  CHECK(eventually([&] { return balancer.metric("lemonade_proxy_sessions") == 0; }));
  (void)reload(balancer, Config(config).backend("loop", loop).backend("a", server.address()));
  for (int i = 0; i < 4; ++i) CHECK(balancer.ask() == "a");
}

TEST_CASE("Validating warns of a backend that is one of our own listeners", "[own_listener]") {
  const TemporaryFolder folder;
  const auto validate = [&](const std::string& listen, const std::string& backend) {
    const auto file =
        folder.write("lemonade.toml", Config().set("proxy.listen_address", listen).backend("a", backend).text());
    const auto outcome = run(lemonade({"lb", "--validate", "--config", file}));
    CHECK(outcome.code == 0);
    return contains(outcome.err, "is one of our own listeners");
  };
  CHECK(validate("0.0.0.0:18080", "127.0.0.1:18080"));
  CHECK(validate("127.0.0.1:18080", "localhost:18080"));
  CHECK_FALSE(validate("127.0.0.1:18080", "127.0.0.1:18081"));
  CHECK_FALSE(validate("127.0.0.1:18080", "127.0.0.2:18080"));
}

TEST_CASE("Validating tells every option that a plugin refuses", "[own_listener]") {
  const TemporaryFolder folder;
  const auto file = folder.write("lemonade.toml",
                                 Config()
                                     .set("health.checker", "http")
                                     .raw("health.options", "{status = \"1\", headers = \"x\", nonsense = 1, path = 5}")
                                     .backend("a", "127.0.0.1:1")
                                     .text());
  const auto outcome = run(lemonade({"lb", "--validate", "--config", file}));
  CHECK(outcome.code == 1);
  for (const auto* word : {"has no option \"nonsense\"", "path must be a string", "status", "headers"}) {
    INFO(outcome.err);
    CHECK(contains(outcome.err, word));
  }
}

}  // namespace lemonade::test
