// SPDX-License-Identifier: MIT
//
// What is quarantined is a content, and what is released is a plugin.
#include "app/quarantine.h"

#include <catch2/catch.hpp>

namespace lemonade::app {
namespace {

Quarantine::Entry entry(const std::string& hash, const std::string& reason = "SIGSEGV at 0x8 in pick") {
  return {{.id = "com.example.evil", .version = "2.0.0", .file = "/plugins/evil.so", .number = 7, .hash = hash},
          "pick",
          reason,
          1};
}

}  // namespace

TEST_CASE("A content is quarantined once, for its first reason", "[app][quarantine]") {
  Quarantine quarantine;
  CHECK_FALSE(quarantine.contains("a"));
  CHECK(quarantine.add(entry("a")));
  CHECK_FALSE(quarantine.add(entry("a", "hang in event")));
  REQUIRE(quarantine.find("a"));
  CHECK(quarantine.find("a")->reason == "SIGSEGV at 0x8 in pick");
  CHECK_FALSE(quarantine.contains("b"));
}

TEST_CASE("What a process before knew of a content takes the place of what is known", "[app][quarantine]") {
  Quarantine quarantine;
  CHECK_FALSE(quarantine.inherit(entry("a")));
  CHECK_FALSE(quarantine.contains("a"));
  quarantine.add(entry("a", "as the supervisor has it"));
  quarantine.setActive({});
  CHECK(quarantine.inherit(entry("a")));
  CHECK(quarantine.find("a")->reason == "SIGSEGV at 0x8 in pick");
  CHECK(quarantine.active().empty());
}

TEST_CASE("What failed as a shadow is kept from being one again and may decide", "[app][quarantine]") {
  Quarantine quarantine;
  auto shadow = entry("a", "hang in pick");
  shadow.info.shadow = true;
  CHECK(quarantine.add(shadow));
  CHECK_FALSE(quarantine.contains("a"));
  REQUIRE(quarantine.findForShadow("a"));
  CHECK(textOf(*quarantine.findForShadow("a")) ==
        "plugin com.example.evil 2.0.0 is quarantined as a shadow: hang in pick");
  CHECK(quarantine.add(entry("a")));  // it failed where it decided, too
  CHECK_FALSE(quarantine.add(shadow));
  REQUIRE(quarantine.find("a"));
  CHECK(quarantine.find("a")->reason == "SIGSEGV at 0x8 in pick");
  CHECK(quarantine.findForShadow("a"));
  CHECK(quarantine.release("com.example.evil").size() == 1);
  CHECK_FALSE(quarantine.findForShadow("a"));
}

TEST_CASE("What has no content of a file is never found", "[app][quarantine]") {
  Quarantine quarantine;
  CHECK(quarantine.add(entry("")));
  CHECK_FALSE(quarantine.contains(""));
  CHECK(quarantine.active().empty());
}

TEST_CASE("A release lets all contents of a plugin go, and of no other", "[app][quarantine]") {
  Quarantine quarantine;
  quarantine.add(entry("a"));
  quarantine.add(entry("b"));
  CHECK(quarantine.release("com.example.other").empty());
  CHECK(quarantine.release("com.example.evil").size() == 2);
  CHECK_FALSE(quarantine.contains("a"));
  CHECK(quarantine.release("com.example.evil").empty());
}

TEST_CASE("Only what something stands in for is a reason to worry", "[app][quarantine]") {
  Quarantine quarantine;
  quarantine.add(entry("a"));
  CHECK(quarantine.active().size() == 1);
  quarantine.setActive({"b"});
  CHECK(quarantine.active().empty());
  CHECK(quarantine.contains("a"));
  quarantine.setActive({"a"});
  CHECK(quarantine.active().size() == 1);
}

TEST_CASE("A refusal names plugin, version, file, reason and what to do", "[app][quarantine]") {
  CHECK(refusalOf(entry("a")) ==
        "plugin com.example.evil 2.0.0 (/plugins/evil.so) is quarantined: SIGSEGV at 0x8 in pick; put another version "
        "there, or release it: lemonade release com.example.evil");
}

TEST_CASE("Calls that were broken off are counted by plugin, function and reason", "[app][quarantine]") {
  Quarantine quarantine;
  plugin::BrokenCall call;
  call.info.id = "com.example.evil";
  call.function = plugin::Function::kPick;
  call.kind = plugin::FaultKind::kHang;
  quarantine.count(call);
  quarantine.count(call);
  call.function = plugin::Function::kEvent;
  quarantine.count(call);
  const auto counts = quarantine.counts();
  CHECK(counts.size() == 2);
  CHECK(counts.at({"com.example.evil", plugin::Function::kPick, plugin::FaultKind::kHang}) == 2);
}

}  // namespace lemonade::app
