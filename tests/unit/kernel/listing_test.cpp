// SPDX-License-Identifier: MIT
#include "kernel/listing.h"

#include "plans.h"

#include <catch2/catch.hpp>

using namespace lemonade;
using namespace lemonade::kernel;
using namespace lemonade::test;

namespace {

/// As nft 1.0.6 lists a table.
constexpr const char* kTable = R"({"nftables": [
  {"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}},
  {"table": {"family": "inet", "name": "lemonade", "handle": 1}},
  {"ct timeout": {"family": "inet", "name": "idle_60s", "table": "lemonade", "handle": 8, "protocol": "tcp",
                  "l3proto": "inet", "policy": {"established": 60, "fin_wait": 60}}},
  {"map": {"family": "inet", "name": "backends4", "table": "lemonade", "type": "mark", "handle": 9,
           "map": "ipv4_addr . inet_service", "elem": [
             [{"elem": {"val": 1280114689, "comment": "0123456789abcdef web/a b"}}, {"concat": ["10.0.0.1", 80]}],
             [1280114690, {"concat": ["10.0.0.2", 81]}]]}},
  {"map": {"family": "inet", "name": "backends6", "table": "lemonade", "type": "mark", "handle": 10,
           "map": "ipv6_addr . inet_service", "elem": [
             [{"elem": {"val": 1280114691, "comment": "of somebody"}}, {"concat": ["fd00::1", 80]}]]}},
  {"set": {"family": "inet", "name": "asked4", "table": "lemonade", "type": ["ipv4_addr", "inet_service"],
           "handle": 11}},
  {"map": {"family": "inet", "name": "entrances4", "table": "lemonade", "type": ["ipv4_addr", "inet_service"],
           "handle": 12, "map": "verdict", "elem": [
             [{"concat": ["10.9.9.9", 443]}, {"goto": {"target": "listener_1"}}]]}},
  {"map": {"family": "inet", "name": "entrances6", "table": "lemonade", "type": ["ipv6_addr", "inet_service"],
           "handle": 13, "map": "verdict", "elem": [
             [{"concat": ["fd00::9", 443]}, {"goto": {"target": "listener_1"}}]]}},
  {"map": {"family": "inet", "name": "entrance_ports4", "table": "lemonade", "type": "inet_service", "handle": 14,
           "map": "verdict", "elem": [
             [81, {"goto": {"target": "listener_2"}}], [82, {"goto": {"target": "listener_12"}}]]}},
  {"map": {"family": "inet", "name": "entrance_ports6", "table": "lemonade", "type": "inet_service", "handle": 15,
           "map": "verdict", "elem": [[81, {"goto": {"target": "listener_2"}}]]}},
  {"chain": {"family": "inet", "table": "lemonade", "name": "to_queue", "handle": 1}},
  {"rule": {"family": "inet", "table": "lemonade", "chain": "to_queue", "handle": 3, "expr": [
    {"xt": {"type": "target", "name": "NFQUEUE"}}]}}]})";

std::string refusing(const char* mark) {
  return R"({"nftables": [{"rule": {"chain": "refuse", "expr": [
      {"match": {"op": "==", "left": {"meta": {"key": "mark"}}, "right": )" +
         std::string(mark) + R"(}}, {"reject": {"type": "tcp reset"}}]}}]})";
}

}  // namespace

TEST_CASE("readTable finds backends with their slots, entrances, and the names of what there is", "[kernel]") {
  const auto read = readTable(kTable);
  REQUIRE(read.ok());
  const auto& listing = read.value();
  CHECK(listing.tag == 0x4c4d);
  CHECK(listing.backends == std::vector<TablePlan::Backend>{{1, at("10.0.0.1:80"), "web/a b", 0x0123456789abcdef},
                                                            {2, at("10.0.0.2:81"), "", 0},
                                                            {3, at("[fd00::1]:80"), "", 0}});
  CHECK(listing.entrances == std::vector<Address>{at("10.9.9.9:443"), at("[fd00::9]:443"), at("0.0.0.0:81"),
                                                  at("0.0.0.0:82"), at("[::]:81")});
  CHECK(listing.outline.chains == std::set<std::string>{"to_queue"});
  CHECK(listing.outline.sets == std::set<std::string>{"asked4"});
  CHECK(listing.outline.maps == std::set<std::string>{"backends4", "backends6", "entrances4", "entrances6",
                                                      "entrance_ports4", "entrance_ports6"});
  CHECK(listing.outline.idle_timeouts == std::set<std::string>{"idle_60s"});
}

TEST_CASE("readTable knows the tag of a table without backends by what it refuses", "[kernel]") {
  CHECK(readTable(refusing("1280147455")).value().tag == 0x4c4d);
  CHECK(!readTable(refusing("1280114690")).value().tag);
  CHECK(!readTable(R"({"nftables": []})").value().tag);
}

TEST_CASE("readTable passes over what is not as expected, and refuses what is no listing", "[kernel]") {
  for (const char* elements : {"7", "[7]", "[[1]]", "[[1280114689, 3]]", R"([["x", {"concat": ["10.0.0.1", 80]}]])",
                               R"([[1, {"concat": ["10.0.0.1", 65536]}]])", R"([[1, {"concat": [1, 80]}]])",
                               R"([[1, {"concat": ["", 80]}]])", R"([[{"elem": {}}, {"concat": ["10.0.0.1", 80]}]])"}) {
    CAPTURE(elements);
    const auto read =
        readTable(R"({"nftables": [3, {"map": {"name": "backends4", "elem": )" + std::string(elements) + "}}]}");
    REQUIRE(read.ok());
    CHECK(read.value().backends.empty());
  }
  for (const char* json : {"", "{", "[]", "{}", R"({"nftables": 3})"}) CHECK(!readTable(json).ok());
}

TEST_CASE("readTable takes for entrances only what leads to the chain of a listener", "[kernel]") {
  const auto entrances = [](const char* map, const char* key, const char* verdict) {
    const auto read = readTable(R"({"nftables": [{"map": {"name": ")" + std::string(map) + R"(", "elem": [[)" + key +
                                ", " + verdict + "]]}}]}");
    REQUIRE(read.ok());
    return read.value().entrances;
  };
  constexpr const char* kAddress = R"({"concat": ["10.0.0.1", 80]})";
  constexpr const char* kListener = R"({"goto": {"target": "listener_1"}})";
  CHECK(entrances("entrances4", kAddress, kListener) == std::vector<Address>{at("10.0.0.1:80")});
  CHECK(entrances("entrance_ports6", "80", kListener) == std::vector<Address>{at("[::]:80")});
  for (const char* verdict : {R"({"drop": null})", R"({"goto": {"target": "asking"}})", R"({"goto": {"target": 1}})",
                              R"({"goto": "listener_1"})", R"({"goto": null})", "7", R"("listener_1")"}) {
    CAPTURE(verdict);
    CHECK(entrances("entrances4", kAddress, verdict).empty());
  }
  for (const char* key : {"80", R"("10.0.0.1")", R"({"concat": ["10.0.0.1", 65536]})", R"({"concat": []})", "null"}) {
    CAPTURE(key);
    CHECK(entrances("entrances4", key, kListener).empty());
  }
  for (const char* key : {kAddress, "65536", "-1", R"("80")", R"({"range": [1, 2]})"}) {
    CAPTURE(key);
    CHECK(entrances("entrance_ports4", key, kListener).empty());
  }
  CHECK(entrances("of_another", kAddress, kListener).empty());
}

TEST_CASE("hasTable looks for the family inet and the whole name", "[kernel]") {
  const std::string tables = R"({"nftables": [{"table": {"family": "ip", "name": "a"}},
                                              {"table": {"family": "inet", "name": "b"}}]})";
  CHECK(!hasTable(tables, "a").value());
  CHECK(hasTable(tables, "b").value());
  CHECK(!hasTable(tables, "").value());
}

TEST_CASE("readDroppingChains finds those that drop what is forwarded", "[kernel]") {
  const auto chains = readDroppingChains(R"({"nftables": [
    {"chain": {"family": "ip", "table": "filter", "name": "FORWARD", "hook": "forward", "prio": 0, "policy": "drop"}},
    {"chain": {"family": "ip", "table": "filter", "name": "INPUT", "hook": "input", "prio": 0, "policy": "drop"}},
    {"chain": {"family": "ip", "table": "other", "name": "F", "hook": "forward", "prio": 0, "policy": "accept"}},
    {"chain": {"family": "ip", "table": "filter", "name": "DOCKER"}}]})");
  REQUIRE(chains.ok());
  REQUIRE(chains.value().size() == 1);
  CHECK(chains.value()[0].family == "ip");
  CHECK(chains.value()[0].table == "filter");
  CHECK(chains.value()[0].name == "FORWARD");
}
