// SPDX-License-Identifier: MIT
#include "cli/forwarding.h"

#include "cli/show.h"
#include "cli/trouble.h"

#include <catch2/catch.hpp>

#include <string>

using namespace lemonade::cli;

namespace {

Document forwards(const std::string& members, const std::string& state = "running") {
  const auto document = parseDocument(R"({"state":")" + state + R"(","kernel":{"table":"lemonade","queue":19533,)" +
                                      R"("tag":19533,"unasked":3,"event_losses":0,)" + members + "}}");
  REQUIRE(document.ok());
  return document.value();
}

constexpr const char* kWell = R"("up_to_date":true,"asks":true,"waiting":2,"conntrack":{"entries":12,"limit":65536})";
constexpr const char* kUnwell =
    R"("up_to_date":false,"asks":false,"waiting":null,"conntrack":{"entries":950,"limit":1000})";

std::string listenersOf(const std::string& listeners) {
  const auto document = parseDocument(R"({"listeners":[)" + listeners + "]}");
  REQUIRE(document.ok());
  return showStatus(document.value(), false);
}

}  // namespace

TEST_CASE("A status says how the kernel forwards, in a line", "[cli]") {
  CHECK(
      forwardingText(forwards(kWell), false) ==
      "the kernel forwards by the table inet lemonade, queue 19533, mark 0x4c4d: up to date, asks; 3 connections came "
      "unasked, 2 packets wait, conntrack has 12 of 65536\n");
  CHECK_THAT(showStatus(forwards(kWell), false), Catch::Contains("the kernel forwards by the table inet lemonade"));
  CHECK(forwardingTroubles(forwards(kWell)).empty());
}

TEST_CASE("A status says what is wrong where the kernel forwards, unless it stops", "[cli]") {
  CHECK_THAT(forwardingText(forwards(kUnwell), false),
             Catch::Contains(": not up to date, asks nobody; 3 connections came unasked, conntrack has 950 of 1000\n"));
  const auto text = troubleText(forwards(kUnwell), false);
  CHECK_THAT(text, Catch::Contains("stale: the table inet lemonade cannot be changed"));
  CHECK_THAT(text, Catch::Contains("unasked: the kernel asks nobody"));
  CHECK_THAT(text, Catch::Contains("nearly full: conntrack has 950 entries of net.netfilter.nf_conntrack_max = 1000"));
  CHECK(troubleText(forwards(kUnwell, "draining"), false).empty());
}

TEST_CASE("A status without forwarding by the kernel has no word of it", "[cli]") {
  const auto relays = parseDocument(R"({"state":"running","kernel":null})");
  const auto older = parseDocument("{}");
  for (const auto& status : {relays.value(), older.value()}) {
    CHECK(forwardingText(status, false).empty());
    CHECK(forwardingTroubles(status).empty());
  }
  const std::string relayed = R"({"name":"a","addresses":["127.0.0.1:1"],"pool":"default","forward":"relay"})";
  CHECK_THAT(listenersOf(relayed), !Catch::Contains("FORWARD"));
  const auto both = listenersOf(relayed + R"(,{"name":"b","addresses":[],"forward":"kernel","source":"keep"})");
  CHECK_THAT(both, Catch::Contains("FORWARD") && Catch::Contains("relay") && Catch::Contains("kernel, keep"));
}
