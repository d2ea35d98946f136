// SPDX-License-Identifier: MIT
//
// Tables in the real kernel, each test in a network of its own.
#include "kernel/table.h"

#include "kernel/netfilter_socket.h"
#include "kernel/nft.h"
#include "kernel/queue_rule.h"
#include "lab.h"
#include "plans.h"

#include <libmnl/libmnl.h>
#include <linux/capability.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cstdio>
#include <regex>

using namespace lemonade;
using namespace lemonade::kernel;
using namespace lemonade::test;
using namespace std::chrono_literals;

namespace {

/// What a command of nft prints, "" where it fails.
std::string listed(const std::string& command) {
  std::FILE* pipe = ::popen(("nft " + command + " 2>/dev/null").c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string text;
  std::array<char, 4'096> part;
  while (const auto count = std::fread(part.data(), 1, part.size(), pipe)) text.append(part.data(), count);
  return ::pclose(pipe) == 0 ? text : "";
}

/// The numbers that the kernel has given to what a chain holds.
std::vector<std::string> handles(const std::string& chain) {
  const std::string text = listed("-a list chain inet lemonade " + chain);
  const std::regex handle("handle ([0-9]+)");
  std::vector<std::string> found;
  for (std::sregex_iterator one(text.begin(), text.end(), handle), end; one != end; ++one) found.push_back((*one)[1]);
  return found;
}

/// How many transactions there have been in this network.
std::uint32_t transactions() {
  NetfilterSocket socket = std::move(NetfilterSocket::open({"nf_tables", "CONFIG_NF_TABLES"})).value();
  NetfilterSocket::Buffer<NetfilterSocket::kMessageSize> buffer;
  auto* request = ::mnl_nlmsg_put_header(buffer.data());
  request->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN;
  request->nlmsg_flags = NLM_F_REQUEST;
  auto* head = static_cast<nfgenmsg*>(::mnl_nlmsg_put_extra_header(request, sizeof(nfgenmsg)));
  *head = {AF_UNSPEC, NFNETLINK_V0, 0};
  std::uint32_t number = 0;
  socket.ask(*request, [&](const nlmsghdr& answer) {
    const auto* attribute = static_cast<const nlattr*>(::mnl_nlmsg_get_payload_offset(&answer, sizeof(nfgenmsg)));
    if (::mnl_attr_get_type(attribute) == NFTA_GEN_ID) number = ntohl(::mnl_attr_get_u32(attribute));
  });
  return number;
}

/// A transaction fewer for the queue where nft can make that rule itself.
bool queuesByNft() { return tryNft("add table inet x\nadd chain inet x c\nadd rule inet x c queue num 0 bypass").ok(); }

void good(const Status& status) {
  INFO((status.ok() ? "" : status.error().message));
  REQUIRE(status.ok());
}

std::string complaintOf(const Status& status) { return status.ok() ? "" : status.error().message; }

}  // namespace

TEST_CASE("Table::check finds nothing missing here, makes nothing, and names the right where it is missing",
          "[kernel]") {
  inTestNetwork([] {
    const Table table("lemonade");
    const auto before = transactions();
    good(table.check());
    CHECK(transactions() == before);
    CHECK(listed("list tables").empty());
    giveUpCapability(CAP_NET_ADMIN);
    CHECK_THAT(complaintOf(table.check()), Catch::Contains("CAP_NET_ADMIN"));
    CHECK_THAT(complaintOf(Table("lemonade").apply(smallPlan())), Catch::Contains("CAP_NET_ADMIN"));
  });
}

TEST_CASE("Table::apply makes the whole table, and what it holds is what was planned", "[kernel]") {
  inTestNetwork([] {
    Table table("lemonade");
    const auto before = transactions();
    auto plan = smallPlan();
    plan.listeners[0].idle_timeout = 90s;
    good(table.apply(plan));
    CHECK(transactions() - before == (queuesByNft() ? 1 : 2));
    CHECK_THAT(listed("list map inet lemonade backends4"),
               Catch::Contains("0x4c4d0001 comment \"000000000000b001 web/1\" : 10.0.0.1 . 80") &&
                   Catch::Contains("0x4c4d0002 comment \"000000000000b002 web/2\" : 10.0.0.2 . 81"));
    CHECK_THAT(listed("list map inet lemonade backends6"), Catch::Contains("2001:db8::3 . 82"));
    CHECK_THAT(listed("list chain inet lemonade listener_1"),
               Catch::Contains("numgen random mod 4 map { 0-2 : 0x4c4d0001, 3 : 0x4c4d0002 }") &&
                   Catch::Contains("ct timeout set \"idle_90s\""));
    CHECK_THAT(listed("list map inet lemonade entrances4"), Catch::Contains("10.9.9.9 . 443 : goto listener_1"));
    CHECK_THAT(listed("list set inet lemonade asked6"), Catch::Contains("2001:db8::9 . 443"));
    CHECK_THAT(listed("list ruleset"),
               Catch::Contains("policy = { established : 90, fin_wait : 90, close_wait : 90 }"));
    CHECK(queueOf("lemonade", kQueueChain).value() == 7);
  });
}

TEST_CASE("Table::apply changes what differs in one transaction and leaves the rest alone", "[kernel]") {
  inTestNetwork([] {
    Table table("lemonade");
    auto plan = smallPlan();
    plan.listeners.push_back({2, {at("0.0.0.0:81")}, true, {}, {{1, 1}, {2, 1}}});
    good(table.apply(plan));
    const auto before = transactions();
    const auto first = handles("listener_1");
    const auto second = handles("listener_2");
    const auto ask = handles("ask");

    good(table.apply(plan));
    CHECK(transactions() == before);
    plan.listeners[1].eligible = {{1, 1}, {2, 9}};
    plan.backends[0].address = at("10.0.0.5:80");
    plan.backends.pop_back();
    good(table.apply(plan));
    CHECK(transactions() == before + 1);

    CHECK_FALSE(first.empty());
    CHECK(handles("ask") == ask);
    CHECK(handles("listener_2") != second);
    CHECK_THAT(listed("list chain inet lemonade listener_2"), Catch::Contains("numgen random mod 10 map"));
    CHECK_THAT(listed("list map inet lemonade backends4"),
               Catch::Contains("10.0.0.5 . 80") && !Catch::Contains("10.0.0.1 "));
    CHECK_THAT(listed("list map inet lemonade backends6"), !Catch::Contains("elements"));

    plan.listeners.erase(plan.listeners.begin());
    good(table.apply(plan));
    CHECK_THAT(listed("list table inet lemonade"), !Catch::Contains("listener_1") && !Catch::Contains("443"));
  });
}

TEST_CASE("Table::apply leaves the rules of a listener alone that nothing has happened to", "[kernel]") {
  inTestNetwork([] {
    Table table("lemonade");
    auto plan = smallPlan();
    plan.listeners.push_back({2, {at("0.0.0.0:81")}, true, {}, {{1, 1}, {2, 1}}});
    good(table.apply(plan));
    const auto first = handles("listener_1");
    plan.listeners[1].eligible = {{1, 1}};
    plan.backends.push_back(backend(4, "10.0.0.4:80"));
    good(table.apply(plan));
    CHECK(handles("listener_1") == first);
  });
}

TEST_CASE("Table::apply adds and takes away idle timeouts with the listeners that have them", "[kernel]") {
  inTestNetwork([] {
    Table table("lemonade");
    auto plan = smallPlan();
    for (const auto timeout : {Duration(90s), Duration(60s)}) {
      plan.listeners[0].idle_timeout = timeout;
      good(table.apply(plan));
    }
    CHECK_THAT(listed("list table inet lemonade"), Catch::Contains("idle_60s") && !Catch::Contains("idle_90s"));
    plan.listeners.clear();
    good(table.apply(plan));
    CHECK_THAT(listed("list table inet lemonade"), !Catch::Contains("ct timeout"));
  });
}

TEST_CASE("Table::apply replaces the number of the queue", "[kernel]") {
  inTestNetwork([] {
    Table table("lemonade");
    auto plan = smallPlan();
    good(table.apply(plan));
    const auto before = transactions();
    plan.queue = 65'535;
    good(table.apply(plan));
    CHECK(transactions() == before + 1);
    CHECK(queueOf("lemonade", kQueueChain).value() == 65'535);
    CHECK(handles(kQueueChain).size() == 2);  // the chain and one rule
  });
}

TEST_CASE("Table::left says what another process left", "[kernel]") {
  inTestNetwork([] {
    CHECK(!Table("lemonade").left().value());
    auto plan = smallPlan();
    plan.tag = 0xfffe;
    plan.listeners.push_back({2, {at("0.0.0.0:81"), at("[::]:22")}, true, {}, {}});  // one that nobody serves
    good(Table("lemonade").apply(plan));
    const auto left = Table("lemonade").left();
    REQUIRE(left.ok());
    REQUIRE(left.value());
    CHECK(left.value()->tag == 0xfffe);
    CHECK(left.value()->queue == 7);
    auto backends = left.value()->backends;
    std::sort(backends.begin(), backends.end(), [](const auto& a, const auto& b) { return a.slot < b.slot; });
    CHECK(backends == plan.backends);
    auto entrances = left.value()->entrances;
    std::sort(entrances.begin(), entrances.end());
    std::vector<Address> planned;
    for (const auto& one : plan.listeners) planned.insert(planned.end(), one.addresses.begin(), one.addresses.end());
    std::sort(planned.begin(), planned.end());
    CHECK(entrances == planned);

    plan.backends.clear();
    plan.listeners.pop_back();
    good(Table("lemonade").apply(plan));
    CHECK(Table("lemonade").left().value()->tag == 0xfffe);
    CHECK(Table("lemonade").left().value()->backends.empty());
    CHECK(Table("lemonade").left().value()->entrances.size() == 2);
  });
}

TEST_CASE("A table that was left is taken over in place: the queue's rule and the hooks stay", "[kernel]") {
  inTestNetwork([] {
    auto plan = smallPlan();
    plan.listeners[0].idle_timeout = 60s;
    plan.listeners.push_back({8, {at("0.0.0.0:81")}, true, 30s, {{1, 1}, {2, 1}}});
    good(Table("lemonade").apply(plan));
    const auto chain = [](const std::string& name) { return handles(name).at(0); };
    const auto ask = chain("ask");
    const auto queue = chain(kQueueChain);
    plan.listeners.pop_back();
    plan.queue = 9;
    Table successor("lemonade");
    const auto before = transactions();
    good(successor.apply(plan));
    CHECK(transactions() - before == (queuesByNft() ? 1 : 2));
    CHECK(chain("ask") == ask);
    CHECK(chain(kQueueChain) == queue);
    CHECK(queueOf("lemonade", kQueueChain).value() == 9);
    CHECK_THAT(listed("list table inet lemonade"), !Catch::Contains("listener_8") && !Catch::Contains("idle_30s"));
    const auto now = listed("list table inet lemonade");
    good(Table("lemonade").apply(plan));
    CHECK(listed("list table inet lemonade") == now);
  });
}

TEST_CASE("A table of another version is replaced where it cannot be taken over", "[kernel]") {
  inTestNetwork([] {
    nft("table inet lemonade { map backends4 { type mark : ipv4_addr; elements = { 1 : 10.0.0.1 }; }; "
        "chain to_queue { }; chain ask { type filter hook input priority 0; }; }");
    Table table("lemonade");
    good(table.apply(smallPlan()));
    CHECK_THAT(listed("list chain inet lemonade ask"), Catch::Contains("hook prerouting"));
  });
}

TEST_CASE("The tables of others stay as they are", "[kernel]") {
  inTestNetwork([] {
    nft("table ip lemonade { chain input { type filter hook input priority 0; counter; }; }\n"
        "table inet lemonade_two { set a { type mark; elements = { 1 }; }; }");
    const auto before = listed("list ruleset");
    Table table("lemonade");
    auto plan = smallPlan();
    good(table.apply(plan));
    plan.listeners.clear();
    good(table.apply(plan));
    good(table.remove());
    CHECK(listed("list ruleset") == before);
  });
}

TEST_CASE("A table inet of another under our name is neither changed nor deleted", "[kernel]") {
  inTestNetwork([] {
    nft("table inet lemonade { chain input { type filter hook input priority 0; counter; }; }");
    const auto before = listed("list ruleset");
    Table table("lemonade");
    CHECK_THAT(complaintOf(table.apply(smallPlan())), Catch::Contains("another's") && Catch::Contains("kernel.table"));
    CHECK_THAT(complaintOf(table.remove()), Catch::Contains("another's"));
    CHECK(!table.left().ok());
    CHECK(listed("list ruleset") == before);
    shell("nft flush table inet lemonade; nft delete table inet lemonade; nft add table inet lemonade");
    good(table.apply(smallPlan()));  // an empty one is nobody's
  });
}

TEST_CASE("Table::refresh needs no transaction, and is heard for both families", "[kernel]") {
  inTestNetwork([] {
    Table table("lemonade");
    auto plan = smallPlan();
    good(table.apply(plan));
    CHECK_THAT(listed("list set inet lemonade alive"), !Catch::Contains("elements"));
    const auto before = transactions();
    good(table.refresh());
    good(table.refresh());
    CHECK(transactions() == before);
    CHECK_THAT(listed("list set inet lemonade alive"),
               Catch::Contains("ipv4 expires") && Catch::Contains("ipv6 expires"));
    plan.backends.pop_back();
    good(table.apply(plan));
    CHECK_THAT(listed("list set inet lemonade alive"), Catch::Contains("ipv4 expires"));
    good(Table("lemonade").apply(plan));
    CHECK_THAT(listed("list set inet lemonade alive"), Catch::Contains("ipv4 expires"));
  });
}

TEST_CASE("What something else removed is noticed and made again", "[kernel]") {
  inTestNetwork([] {
    Table table("lemonade");
    auto plan = smallPlan();
    good(table.apply(plan));
    shell("nft flush ruleset");
    CHECK_THAT(complaintOf(table.refresh()), Catch::Contains("removed"));
    good(table.apply(plan));
    good(table.refresh());
    shell("nft delete table inet lemonade");
    plan.backends.pop_back();
    good(table.apply(plan));  // a difference does not fit, and all of it is made
    good(table.refresh());
    CHECK(queueOf("lemonade", kQueueChain).value() == 7);
  });
}

TEST_CASE("Table::remove deletes what there is, and nothing is not an error", "[kernel]") {
  inTestNetwork([] {
    Table table("lemonade");
    good(table.remove());
    good(table.apply(smallPlan()));
    good(table.remove());
    CHECK(listed("list tables").empty());
    good(table.apply(smallPlan()));
    CHECK_FALSE(listed("list table inet lemonade").empty());
  });
}

TEST_CASE("A name that nft would take for something else is refused", "[kernel]") {
  for (const char* name : {"", "1a", "a b", "a;b", "a-b", "é"}) {
    CAPTURE(name);
    CHECK_THAT(complaintOf(Table(name).check()), Catch::Contains("is no name for an nft table"));
    CHECK_FALSE(Table(name).apply(smallPlan()).ok());
    CHECK_FALSE(Table(name).remove().ok());
  }
}

TEST_CASE("Table::check refuses a word of nft's own and another's table", "[kernel]") {
  inTestNetwork([] {
    for (const char* word : {"queue", "map", "counter"}) {
      CAPTURE(word);
      CHECK_THAT(complaintOf(Table(word).check()), Catch::Contains("is a word of nft's own"));
    }
    (void)listed("add table inet theirs");
    (void)listed("add chain inet theirs of_theirs");
    CHECK_THAT(complaintOf(Table("theirs").check()), Catch::Contains("inet theirs is another's"));
  });
}

TEST_CASE("A table bears thousands of backends", "[kernel]") {
  inTestNetwork([] {
    Table table("lemonade");
    auto plan = smallPlan();
    plan.backends.clear();
    plan.listeners[0].eligible.clear();
    for (std::uint32_t i = 1; i <= 3'000; ++i) {
      plan.backends.push_back(
          backend(i, "10.1." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1) + ":80"));
      plan.listeners[0].eligible.push_back({i, i % 7 + 1});
    }
    good(table.apply(plan));
    CHECK(Table("lemonade").left().value()->backends.size() == 3'000);
    plan.backends.resize(1'500);
    good(table.apply(plan));
    CHECK(Table("lemonade").left().value()->backends.size() == 1'500);
  });
}
