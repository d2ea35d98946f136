// SPDX-License-Identifier: MIT
#include "kernel/conntrack.h"

#include "flows.h"

#include <linux/capability.h>

#include <catch2/catch.hpp>
#include <memory>
#include <span>
#include <string>
#include <vector>

using lemonade::Fd;
using lemonade::kernel::Conntrack;
using lemonade::kernel::FlowEntry;
using lemonade::kernel::TcpState;
using lemonade::kernel::Tuple;
using namespace lemonade::test;

namespace {

Conntrack openConntrack() {
  auto conntrack = Conntrack::open();
  if (!conntrack) throw std::runtime_error(conntrack.error().message);
  return std::move(conntrack).value();
}

std::vector<FlowEntry> all(Conntrack& conntrack, std::uint32_t mark, std::uint32_t mask) {
  std::vector<FlowEntry> flows;
  CHECK(conntrack.each(mark, mask, [&](const FlowEntry& flow) { flows.push_back(flow); }));
  return flows;
}

}  // namespace

TEST_CASE("Conntrack::find knows a connection by its original tuple", "[kernel]") {
  for (const std::string address : {"127.0.0.1:9000", "[::1]:9000"}) {
    inTestNetwork([&] {
      trackFlows();
      auto conntrack = openConntrack();
      Flow flow(address);
      flow.client.send("hello");
      flow.server.receive(5);
      const auto found = conntrack.find(flow.tuple());
      REQUIRE(found);
      CHECK(found->original == flow.tuple());
      CHECK(found->reply == flow.tuple().reversed());
      CHECK(found->mark == kWantedMark);
      CHECK(found->state == TcpState::kEstablished);
      CHECK(found->assured);
      CHECK(found->seen_reply);
      CHECK(found->counted);
      CHECK(found->packets_in >= 3);
      CHECK(found->start_unix_ns != 0);
      CHECK(found->stop_unix_ns == 0);
    });
  }
}

TEST_CASE("Conntrack::find finds nothing by the reply, by another tuple, or by none", "[kernel]") {
  inTestNetwork([] {
    trackFlows();
    auto conntrack = openConntrack();
    const Flow flow("127.0.0.1:9000");
    CHECK_FALSE(conntrack.find(flow.tuple().reversed()));
    auto other = flow.tuple();
    ++other.destination_port;
    CHECK_FALSE(conntrack.find(other));
    CHECK_FALSE(conntrack.find(Tuple()));
    // It answers what it is asked then, not what it was asked before.
    CHECK(conntrack.find(flow.tuple()));
  });
}

TEST_CASE("Conntrack::find finds each of many that there is", "[kernel]") {
  inTestNetwork([] {
    trackFlows();
    auto conntrack = openConntrack();
    const Flow one("127.0.0.1:9000");
    const Flow other("[::1]:9000");
    std::vector<Tuple> wanted(100, one.tuple());
    for (std::size_t i = 1; i < wanted.size() - 1; ++i) wanted[i].destination_port = static_cast<std::uint16_t>(i);
    wanted[50] = Tuple();
    wanted.back() = other.tuple();
    std::vector<Tuple> found;
    conntrack.find(wanted, [&](const FlowEntry& entry) { found.push_back(entry.original); });
    CHECK(found == std::vector{one.tuple(), other.tuple()});
    conntrack.find(std::span<const Tuple>(), [](const FlowEntry&) { FAIL("nothing was asked for"); });
    CHECK(conntrack.find(one.tuple()));
  });
}

TEST_CASE("Conntrack::remove forgets a connection once", "[kernel]") {
  inTestNetwork([] {
    trackFlows();
    auto conntrack = openConntrack();
    const Flow flow("127.0.0.1:9000");
    const auto found = conntrack.find(flow.tuple());
    REQUIRE(found);
    CHECK(conntrack.remove(*found));
    CHECK_FALSE(conntrack.find(flow.tuple()));
    CHECK_FALSE(conntrack.remove(*found));
    CHECK_FALSE(conntrack.remove(FlowEntry()));
  });
}

TEST_CASE("Conntrack::hasten gives a connection a time that what moves undoes", "[kernel]") {
  inTestNetwork([] {
    trackFlows();
    auto conntrack = openConntrack();
    Flow flow("127.0.0.1:9000");
    const auto found = conntrack.find(flow.tuple());
    REQUIRE(found);
    CHECK(found->seconds_left > 1'000);
    CHECK(conntrack.hasten(*found, 60));
    CHECK(conntrack.find(flow.tuple())->seconds_left <= 60);
    flow.client.send("x");
    CHECK(flow.server.receive(1) == "x");
    CHECK(conntrack.find(flow.tuple())->seconds_left > 1'000);
    CHECK(conntrack.hasten(*found, 1));
    CHECK(eventually([&] { return !conntrack.find(flow.tuple()); }));
    CHECK_FALSE(conntrack.hasten(*found, 60));
    CHECK_FALSE(conntrack.find(flow.tuple()));
  });
}

TEST_CASE("Conntrack::find tells that the server has finished first, and not where the client has", "[kernel]") {
  inTestNetwork([] {
    trackFlows();
    auto conntrack = openConntrack();
    Flow by_server("127.0.0.1:9000");
    CHECK_FALSE(conntrack.find(by_server.tuple())->backend_finished);
    by_server.server.finishSending();
    CHECK(by_server.client.receiveAll().empty());
    CHECK(conntrack.find(by_server.tuple())->backend_finished);
    CHECK(eventually([&] { return conntrack.find(by_server.tuple())->state == TcpState::kCloseWait; }));
    CHECK(conntrack.find(by_server.tuple())->backend_finished);
    Flow by_client("127.0.0.2:9000");
    by_client.client.finishSending();
    CHECK(by_client.server.receiveAll().empty());
    CHECK_FALSE(conntrack.find(by_client.tuple())->backend_finished);
    CHECK(eventually([&] { return conntrack.find(by_client.tuple())->state == TcpState::kCloseWait; }));
    CHECK_FALSE(conntrack.find(by_client.tuple())->backend_finished);
  });
}

TEST_CASE("Conntrack::remove leaves another connection with the same tuple alone", "[kernel]") {
  inTestNetwork([] {
    trackFlows();
    auto conntrack = openConntrack();
    auto flow = std::make_unique<Flow>("127.0.0.1:9000");
    const auto from = flow->client.localAddress();
    const auto older = conntrack.find(flow->tuple());
    REQUIRE(older);
    flow->client.reset();
    CHECK(conntrack.remove(*older));
    flow->client = Socket::connect("127.0.0.1:9000", from);
    const auto newer = conntrack.find(older->original);
    REQUIRE(newer);
    // The kernel often gives it the id of the earlier one.
    CHECK(newer->start_unix_ns != older->start_unix_ns);
    CHECK_FALSE(conntrack.remove(*older));
    CHECK(conntrack.find(older->original));
    CHECK(conntrack.remove(*newer));
  });
}

TEST_CASE("Conntrack::remove goes by the id, and by the reply", "[kernel]") {
  inTestNetwork([] {
    trackFlows();
    auto conntrack = openConntrack();
    const Flow flow("127.0.0.1:9000");
    const auto found = conntrack.find(flow.tuple());
    REQUIRE(found);
    auto other = *found;
    ++other.id;
    CHECK_FALSE(conntrack.remove(other));
    other = *found;
    ++other.reply.source_port;
    CHECK_FALSE(conntrack.remove(other));
    CHECK(conntrack.find(flow.tuple()));
    // Events do not say when a connection began.
    other = *found;
    other.start_unix_ns = 0;
    CHECK(conntrack.remove(other));
  });
}

TEST_CASE("Conntrack::each visits the connections with a mark", "[kernel]") {
  inTestNetwork([] {
    trackFlows();
    auto conntrack = openConntrack();
    const Flow first("127.0.0.1:9000");
    const Flow second("[::1]:9000");
    const Flow other("127.0.0.1:9001");
    const Flow unmarked("127.0.0.1:9002");
    const auto flows = all(conntrack, kWantedMark, kWantedMask);
    REQUIRE(flows.size() == 2);
    for (const auto& flow : flows) {
      CHECK((flow.original == first.tuple() || flow.original == second.tuple()));
      CHECK(flow.mark == kWantedMark);
      CHECK(flow.counted);
    }
    CHECK(flows[0].original != flows[1].original);
    CHECK(all(conntrack, 0x0001, 0xffff).size() == 3);
    CHECK(all(conntrack, 0x22220001, 0xffffffff).empty());
  });
}

TEST_CASE("Conntrack::each lists more connections than fit in one message", "[kernel]") {
  inTestNetwork([] {
    trackFlows();
    auto conntrack = openConntrack();
    const Fd listening = listenOn("127.0.0.1:9000");
    std::vector<Socket> clients;
    for (int i = 0; i < 400; ++i) clients.push_back(Socket::connect("127.0.0.1:9000"));
    CHECK(all(conntrack, kWantedMark, kWantedMask).size() == 400);
  });
}

TEST_CASE("A visit of Conntrack::each may find and remove connections", "[kernel]") {
  inTestNetwork([] {
    trackFlows();
    auto conntrack = openConntrack();
    const Fd listening = listenOn("127.0.0.1:9000");
    std::vector<Socket> clients;
    for (int i = 0; i < 50; ++i) clients.push_back(Socket::connect("127.0.0.1:9000"));
    CHECK(conntrack.each(kWantedMark, kWantedMask, [&](const FlowEntry& flow) {
      CHECK(conntrack.find(flow.original));
      CHECK(conntrack.remove(flow));
    }));
    CHECK(all(conntrack, kWantedMark, kWantedMask).empty());
  });
}

TEST_CASE("Conntrack::open names the right that it lacks", "[kernel]") {
  inTestNetwork([] {
    giveUpCapability(CAP_NET_ADMIN);
    const auto refused = Conntrack::open();
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.find("CAP_NET_ADMIN is missing") != std::string::npos);
  });
}
