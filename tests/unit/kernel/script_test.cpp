// SPDX-License-Identifier: MIT
#include "kernel/script.h"

#include "kernel/heartbeat.h"
#include "plans.h"

#include <catch2/catch.hpp>

using namespace lemonade;
using namespace lemonade::kernel;
using namespace lemonade::test;
using namespace std::chrono_literals;

namespace {

/// What leads from the small plan to what a change makes of it.
template <class Change>
std::string difference(Change change) {
  auto plan = smallPlan();
  change(plan);
  return differenceScript("t", contentsOf(smallPlan(), QueueBy::kNft), contentsOf(plan, QueueBy::kNft));
}

}  // namespace

TEST_CASE("differenceScript is empty where nothing differs", "[kernel]") {
  CHECK(difference([](TablePlan&) {}).empty());
}

TEST_CASE("differenceScript makes an element of a new backend alone", "[kernel]") {
  CHECK(difference([](TablePlan& plan) { plan.backends.push_back(backend(9, "10.0.0.9:80")); }) ==
        "add element inet t backends4 { 0x4c4d0009 comment \"000000000000b009 web/9\" : 10.0.0.9 . 80 }\n");
}

TEST_CASE("differenceScript moves a slot to another address in one transaction", "[kernel]") {
  CHECK(difference([](TablePlan& plan) { plan.backends[0].address = at("10.0.0.7:80"); }) ==
        "delete element inet t backends4 { 0x4c4d0001 }\n"
        "add element inet t backends4 { 0x4c4d0001 comment \"000000000000b001 web/1\" : 10.0.0.7 . 80 }\n");
}

TEST_CASE("differenceScript writes the rules of the listener anew whose weights changed", "[kernel]") {
  const auto script = difference([](TablePlan& plan) { plan.listeners[0].eligible = {{1, 1}}; });
  CHECK_THAT(script, Catch::StartsWith("flush chain inet t listener_1\nadd rule inet t listener_1 meta mark & "
                                       "0xffff0000 != 0x4c4d0000 meta nfproto ipv4 meta mark set 0x4c4d0001\n"));
  CHECK_THAT(script, !Catch::Contains("element"));
}

TEST_CASE("differenceScript makes a timeout that holds for half closed connections, too, before the rule that sets it",
          "[kernel]") {
  CHECK_THAT(
      difference([](TablePlan& plan) { plan.listeners[0].idle_timeout = 60s; }),
      Catch::StartsWith("add ct timeout inet t idle_60s { protocol tcp; policy = { established : 60, fin_wait : 60, "
                        "close_wait : 60 }; }\nflush chain inet t listener_1\n"));
}

TEST_CASE("differenceScript takes a listener away behind its entrances, and its timeout behind it", "[kernel]") {
  auto plan = smallPlan();
  plan.listeners[0].idle_timeout = 60s;
  const auto from = contentsOf(plan, QueueBy::kNft);
  plan.listeners.clear();
  CHECK(differenceScript("t", from, contentsOf(plan, QueueBy::kNft)) ==
        "delete element inet t asked4 { 10.9.9.9 . 443 }\n"
        "delete element inet t asked6 { 2001:db8::9 . 443 }\n"
        "delete element inet t entrances4 { 10.9.9.9 . 443 }\n"
        "delete element inet t entrances6 { 2001:db8::9 . 443 }\n"
        "flush chain inet t listener_1\n"
        "delete chain inet t listener_1\n"
        "delete ct timeout inet t idle_60s\n");
}

TEST_CASE("differenceScript changes the number of the queue without a moment between", "[kernel]") {
  CHECK(difference([](TablePlan& plan) { plan.queue = 8; }) ==
        "flush chain inet t to_queue\nadd rule inet t to_queue queue num 8 bypass\n");
}

TEST_CASE("wholeScript takes away what an earlier table has besides, and keeps a rule that it cannot make",
          "[kernel]") {
  const Outline existing{{"listener_8", "to_queue", "ask"}, {"of_old", "asked4"}, {"backends4"}, {"idle_5s"}};
  const auto script = wholeScript("t", contentsOf(smallPlan(), QueueBy::kTarget), existing);
  CHECK_THAT(script, Catch::StartsWith("add table inet t\n") && Catch::Contains("\ndelete chain inet t listener_8\n") &&
                         Catch::Contains("\ndelete set inet t of_old\n") &&
                         Catch::Contains("\ndelete ct timeout inet t idle_5s\n") &&
                         Catch::Contains("\nflush map inet t backends4\n") &&
                         Catch::Contains("\nflush set inet t asked4\n") &&
                         Catch::Contains("\nflush chain inet t ask\n"));
  CHECK_THAT(script, !Catch::Contains("flush chain inet t to_queue") && !Catch::Contains("delete table") &&
                         !Catch::Contains("flush set inet t alive"));
  CHECK_THAT(wholeScript("t", contentsOf(smallPlan(), QueueBy::kNft), existing),
             Catch::Contains("flush chain inet t to_queue"));
}

TEST_CASE("wholeScript has the table ask for as long as a heartbeat lasts", "[kernel]") {
  CHECK_THAT(wholeScript("t", contentsOf(smallPlan(), QueueBy::kNft), {}),
             Catch::Contains("timeout " + std::to_string(kHeartbeatLastsNs / 1'000'000'000) + "s; }"));
}

TEST_CASE("isOurs knows a table of this kind, and takes an empty one for it", "[kernel]") {
  CHECK(isOurs({}));
  CHECK(isOurs({{"to_queue"}, {}, {"backends4"}, {}}));
  CHECK(!isOurs({{"input"}, {}, {}, {}}));
  CHECK(!isOurs({{"to_queue"}, {"backends4"}, {}, {}}));
}
