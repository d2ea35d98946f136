// SPDX-License-Identifier: MIT
//
// What became of a plugin that misbehaved is told wherever an operator looks, with what to do, and the command that
// lets it try again brings it back.
#include "e2e/supervised.h"
#include "e2e/turncoat.h"

#include <catch2/catch.hpp>

#include <string>
#include <utility>

namespace lemonade::test {
namespace {

constexpr const char* kDegraded = "degraded: plugin com.example.turncoat 2.0.0 is quarantined: SIGSEGV at 0x8 in pick";

Outcome ask(Balancer& balancer, Arguments arguments) {
  arguments.insert(arguments.end(), {"--admin", balancer.adminAddress()});
  return run(lemonade(arguments));
}

/// What the commands print, of which nothing is an error.
std::string shown(Balancer& balancer, Arguments arguments) {
  const auto outcome = ask(balancer, std::move(arguments));
  INFO(outcome.err);
  CHECK(outcome.code == 0);
  return outcome.out;
}

void expectDegraded(Turned& turned) {
  auto& balancer = turned.balancer;
  const auto plugins = shown(balancer, {"plugins"});
  CHECK(contains(plugins, "stands_in"));
  CHECK(contains(plugins, "plugin com.example.turncoat 2.0.0 is quarantined: SIGSEGV at 0x8 in pick"));
  CHECK(contains(plugins, (turned.folder.path() / "turncoat.so").string()));
  CHECK(contains(plugins, "lemonade release com.example.turncoat\n"));
  CHECK(contains(shown(balancer, {"plugins", "--json"}), "quarantined"));
  CHECK(contains(shown(balancer, {"status"}), kDegraded));
  CHECK(contains(shown(balancer, {"top", "--count", "1"}), kDegraded));
  CHECK(contains(shown(balancer, {"events"}), "plugin_quarantined"));
  CHECK(balancer.metric("lemonade_plugin_quarantined", {"com.example.turncoat", "2.0.0"}) == 1);
  CHECK(balancer.metric("lemonade_plugin_faults_total", {"function=\"pick\"", "kind=\"SIGSEGV\""}) >= 1);
  CHECK(contains(balancer.admin("/readyz").body, std::string("ready, ") + kDegraded));
}

void expectWell(Turned& turned) {
  auto& balancer = turned.balancer;
  CHECK(turned.version() == "2.0.0");
  CHECK(turned.state() == "running");
  for (const char* command : {"plugins", "status"}) CHECK_FALSE(contains(shown(balancer, {command}), "quarantined"));
  CHECK_FALSE(contains(shown(balancer, {"top", "--count", "1"}), "degraded"));
  CHECK(balancer.metric("lemonade_plugin_quarantined") == 0);
  CHECK(balancer.admin("/readyz").body == "ready\n");
}

}  // namespace

TEST_CASE("What is quarantined is told wherever an operator looks until it is released", "[containment][cli]") {
  Turned turned("pick:segv");
  auto& balancer = turned.balancer;
  expectWell(turned);
  turned.setOff();
  REQUIRE(turned.isBack());
  expectDegraded(turned);

  const auto released = ask(balancer, {"release", "com.example.turncoat"});
  INFO(released.out << released.err);
  CHECK(released.code == 0);
  CHECK(contains(released.out, "plugin com.example.turncoat is released\n"));
  CHECK(contains(released.out, "strategy com.example.turncoat: new code, version 2.0.0"));
  expectWell(turned);
  CHECK(contains(shown(balancer, {"events"}), "plugin_released"));

  turned.setOff();
  REQUIRE(turned.isBack());
  expectDegraded(turned);
}

TEST_CASE("What is quarantined, its faults and the timeline are told by the process after an upgrade, too",
          "[containment][upgrade]") {
  Turned turned("pick:segv", "400ms", 2, true, true);
  auto& balancer = turned.balancer;
  turned.setOff();
  REQUIRE(turned.isBack());
  const auto quarantined = [&] { return balancer.status()->getArray("quarantined")->getObject(0); };
  const auto faults = [&] { return balancer.metric("lemonade_plugin_faults_total", {"function=\"pick\""}); };
  const auto since = quarantined()->getValue<std::string>("since");
  const auto before = faults();
  for (int upgrades = 0; upgrades < 2; ++upgrades) {
    upgrade(balancer);
    expectDegraded(turned);
    CHECK(quarantined()->getValue<std::string>("since") == since);
    CHECK(quarantined()->getValue<std::string>("function") == "pick");
    CHECK(faults() == before);
  }
  const auto events = balancer.admin("/api/v1/events").body;
  CHECK(contains(events, "\"lost\": 0"));
  const auto quarantine = events.find("\"plugin_quarantined\""), upgraded = events.find("\"upgraded\"");
  REQUIRE(quarantine != std::string::npos);
  CHECK(quarantine < upgraded);
}

TEST_CASE("A plugin that is not quarantined is not released", "[containment][cli]") {
  Server server(http("a"));
  Balancer balancer(unwatched().backend("a", server.address()));
  const auto released = ask(balancer, {"release", "round_robin"});
  CHECK(released.code == 1);
  CHECK(contains(released.err, "plugin \"round_robin\" is not quarantined"));
  CHECK(released.out.empty());
  CHECK(ask(balancer, {"release"}).code == 2);
}

TEST_CASE("Status tells of a call that still runs", "[containment][cli][relayed]") {
  Turned turned("pick:spin", "1h");
  Socket client = Socket::connect(turned.balancer.address(), Turned::kTrap);
  turned.balancer.process().waitForLog("a call of a plugin is slow and still runs");
  CHECK(eventually([&] {
    return contains(shown(turned.balancer, {"status"}), "slow: pick of plugin com.example.turncoat 2.0.0 has run for ");
  }));
  // So that it can be stopped.
  REQUIRE(contains(reload(turned.balancer, turned.config("1s", 2)), "plugins.hang_limit"));
  CHECK(request(client) != 0);
}

}  // namespace lemonade::test
