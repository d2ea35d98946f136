// SPDX-License-Identifier: MIT
#include "kernel/rules.h"

#include "plans.h"

#include <algorithm>
#include <catch2/catch.hpp>

using namespace lemonade;
using namespace lemonade::kernel;
using namespace lemonade::test;
using namespace std::chrono_literals;

namespace {

using Strings = std::vector<std::string>;

Contents contents(const TablePlan& plan) { return contentsOf(plan, QueueBy::kNft); }

/// The rules of the first listener that set the mark where nobody was asked.
Strings spreading(const TablePlan& plan) {
  Strings found;
  const auto all = contents(plan);
  for (const auto& rule : all.rules.at("listener_1"))
    if (rule.find("meta mark set") != std::string::npos && rule.find("ct mark") == std::string::npos)
      found.push_back(rule);
  return found;
}

}  // namespace

TEST_CASE("Where nobody was asked each family goes to its own backends by weight", "[kernel]") {
  CHECK(spreading(smallPlan()) ==
        Strings{"meta mark & 0xffff0000 != 0x4c4d0000 meta nfproto ipv4 meta mark set numgen random mod 4 map { "
                "0-2 : 0x4c4d0001, 3 : 0x4c4d0002 }",
                "meta mark & 0xffff0000 != 0x4c4d0000 meta nfproto ipv6 meta mark set 0x4c4d0003"});
}

TEST_CASE("Where nobody is eligible nothing is chosen, but what is marked still goes to its backend", "[kernel]") {
  auto plan = smallPlan();
  plan.listeners[0].eligible.clear();
  CHECK(spreading(plan).empty());
  CHECK(contents(plan).elements.at("backends4").count("0x4c4d0001") == 1);
  const auto rules = contents(plan).rules.at("listener_1");
  CHECK(std::count_if(rules.begin(), rules.end(), [](const std::string& rule) {
          return rule.find("dnat ip to meta mark") != std::string::npos && rule.ends_with("map @backends4");
        }) == 1);
}

TEST_CASE("A listener that keeps the source says so in its marks, not in the map", "[kernel]") {
  auto plan = smallPlan();
  plan.listeners[0].keep_source = true;
  CHECK_THAT(spreading(plan).at(1), Catch::EndsWith("meta mark set 0x4c4d8003"));
  CHECK(contents(plan).elements.at("backends6").count("0x4c4d0003") == 1);
}

TEST_CASE("An element of a backend has its identity and its name", "[kernel]") {
  CHECK(contents(smallPlan()).elements.at("backends4").at("0x4c4d0002") ==
        " comment \"000000000000b002 web/2\" : 10.0.0.2 . 81");
}

TEST_CASE("A name cannot leave its comment, and is cut", "[kernel]") {
  auto plan = smallPlan();
  plan.backends[0].name = "a\" : 1.2.3.4 . 5 }\n\\é" + std::string(300, 'x');
  const auto element = contents(plan).elements.at("backends4").at("0x4c4d0001");
  CHECK_THAT(element, Catch::StartsWith(" comment \"000000000000b001 a? : 1.2.3.4 . 5 }????xx"));
  CHECK(std::count(element.begin(), element.end(), '"') == 2);
  CHECK(element.rfind('"') - element.find('"') - 1 <= 127);
}

TEST_CASE("An address is an entrance of its own, and a wildcard is one by its port", "[kernel]") {
  auto plan = smallPlan();
  plan.listeners[0].addresses = {at("0.0.0.0:8080"), at("10.9.9.9:443"), at("[::]:8081")};
  const auto elements = contents(plan).elements;
  CHECK(elements.at("entrances4").at("10.9.9.9 . 443") == " : goto listener_1");
  CHECK(elements.at("entrance_ports4").at("8080") == " : goto listener_1");
  CHECK(elements.at("entrance_ports6").at("8081") == " : goto listener_1");
  for (const char* set : {"4", "_ports4", "_ports6"}) {
    const std::string name(set);
    const auto& asked = elements.at("asked" + name);
    const auto& entrances = elements.at((name == "4" ? "entrances" : "entrance") + name);
    CHECK(asked.size() == entrances.size());
    CHECK(asked.begin()->first == entrances.begin()->first);
  }
  CHECK(elements.count("asked6") == 0);
}

TEST_CASE("Idle timeouts are objects by their seconds, rounded up, and 0 is the longest there is", "[kernel]") {
  auto plan = smallPlan();
  CHECK(contents(plan).idle_timeouts == std::set<std::uint64_t>{24 * 86'400});
  plan.listeners[0].idle_timeout = 1'500ms;
  CHECK(contents(plan).idle_timeouts == std::set<std::uint64_t>{2});
  const auto rules = contents(plan).rules.at("listener_1");
  CHECK(std::count(rules.begin(), rules.end(), "ct timeout set \"idle_2s\"") == 1);
  plan.listeners[0].idle_timeout = 24h * 30;
  CHECK(contents(plan).idle_timeouts == std::set<std::uint64_t>{24 * 86'400});
  CHECK(*contents(plan).idle_timeouts.begin() * 1'000 < (std::uint64_t{1} << 31));
}

TEST_CASE("The rule that queues is among the contents only where nft makes it", "[kernel]") {
  CHECK(contents(smallPlan()).rules.at(kQueueChain) == Strings{"queue num 7 bypass"});
  CHECK(contentsOf(smallPlan(), QueueBy::kTarget).rules.count(kQueueChain) == 0);
}

TEST_CASE("checkPlan tells what is a mistake", "[kernel]") {
  CHECK(checkPlan(smallPlan()).ok());
  const auto complaint = [](const auto& change) {
    auto plan = smallPlan();
    change(plan);
    const auto checked = checkPlan(plan);
    return checked.ok() ? "" : checked.error().message;
  };
  CHECK_THAT(complaint([](TablePlan& plan) { plan.backends[0].slot = 0; }), Catch::Contains("slot 0 is out of range"));
  CHECK_THAT(complaint([](TablePlan& plan) { plan.backends[0].slot = 0x7fff; }), Catch::Contains("out of range"));
  CHECK_THAT(complaint([](TablePlan& plan) { plan.backends[1].slot = 1; }), Catch::Contains("web/2: slot 1"));
  CHECK_THAT(complaint([](TablePlan& plan) { plan.backends[1].address = at("unix:/a"); }),
             Catch::Contains("cannot forward to unix:/a"));
  CHECK_THAT(complaint([](TablePlan& plan) { plan.listeners[0].addresses = {at("10.0.0.1:0")}; }),
             Catch::Contains("cannot forward from 10.0.0.1:0"));
  CHECK_THAT(complaint([](TablePlan& plan) { plan.listeners.push_back(plan.listeners[0]); }),
             Catch::Contains("listener 1"));
}
