// SPDX-License-Identifier: MIT
#include "kernel/resets.h"

#include "kernel/conntrack.h"
#include "lab.h"

#include <linux/capability.h>

#include <catch2/catch.hpp>
#include <string>

using lemonade::Address;
using lemonade::kernel::Conntrack;
using lemonade::kernel::FlowEntry;
using lemonade::kernel::Resets;
using lemonade::kernel::Tuple;
using namespace lemonade::test;

using Family = ForwardingLab::Family;
using Source = ForwardingLab::Source;

namespace {

/// What is asked and what is told.
struct Tools {
  static Tools open() {
    auto conntrack = Conntrack::open();
    auto resets = Resets::open(ForwardingLab::kResetMark);
    if (!conntrack) throw std::runtime_error(conntrack.error().message);
    if (!resets) throw std::runtime_error(resets.error().message);
    return {std::move(conntrack).value(), std::move(resets).value()};
  }

  Conntrack conntrack;
  Resets resets;
};

FlowEntry entryOf(Conntrack& conntrack, const ForwardingLab::Connection& connection) {
  const auto address = [](const std::string& text) { return Address::parse(text).value(); };
  const auto found = conntrack.find(
      Tuple::between(address(connection.client.localAddress()), address(connection.client.peerAddress())));
  if (!found) throw std::runtime_error("the connection is not tracked");
  return *found;
}

int tracked(Conntrack& conntrack) {
  int count = 0;
  CHECK(conntrack.each(0, 0, [&](const FlowEntry&) { ++count; }));
  return count;
}

}  // namespace

TEST_CASE("A forwarded connection that is forgotten and provoked is reset at both ends", "[kernel]") {
  for (const auto family : {Family::kIpv4, Family::kIpv6}) {
    inTestNetwork([family] {
      ForwardingLab lab(family);
      auto tools = Tools::open();
      auto connection = lab.connect();
      connection.client.send("request");
      CHECK(connection.backend.receive(7) == "request");
      connection.backend.send("answer");
      CHECK(connection.client.receive(6) == "answer");

      const auto flow = entryOf(tools.conntrack, connection);
      CHECK(flow.mark == ForwardingLab::kFlowMark);
      CHECK(flow.reply.source().text() == connection.backend.localAddress());
      CHECK(tools.conntrack.remove(flow));
      tools.resets.provoke(flow.original.reversed());
      tools.resets.provoke(flow.reply.reversed());
      CHECK(connection.client.next() == End::kReset);
      CHECK(connection.backend.next() == End::kReset);
    });
  }
}

TEST_CASE("A forgotten connection of which one end has finished sending is reset at both ends too", "[kernel]") {
  inTestNetwork([] {
    ForwardingLab lab;
    auto tools = Tools::open();
    auto connection = lab.connect();
    connection.client.finishSending();
    CHECK(connection.backend.receiveAll().empty());
    const auto flow = entryOf(tools.conntrack, connection);
    CHECK(tools.conntrack.remove(flow));
    tools.resets.provoke(flow.original.reversed());
    tools.resets.provoke(flow.reply.reversed());
    CHECK(connection.client.next() == End::kReset);
    CHECK_THROWS_AS(
        [&] {
          for (;;) connection.backend.send(std::string(4096, 'x'));
        }(),
        ResetError);
  });
}

TEST_CASE("A host that was provoked a moment ago answers again", "[kernel]") {
  inTestNetwork([] {
    ForwardingLab lab;
    auto tools = Tools::open();
    auto connection = lab.connect();
    const auto flow = entryOf(tools.conntrack, connection);
    for (int i = 0; i < 3; ++i) tools.resets.provoke(flow.original.reversed());
    CHECK(tools.conntrack.remove(flow));
    tools.resets.provoke(flow.original.reversed());
    CHECK(connection.client.next() == End::kReset);
  });
}

TEST_CASE("One end alone may be provoked, and the other hears nothing of it", "[kernel]") {
  inTestNetwork([] {
    ForwardingLab lab;
    auto tools = Tools::open();
    auto connection = lab.connect();
    const auto flow = entryOf(tools.conntrack, connection);
    CHECK(tools.conntrack.remove(flow));
    tools.resets.provoke(flow.original.reversed());
    CHECK(connection.client.next() == End::kReset);
    CHECK(connection.backend.next(0ms) == End::kOpen);
    tools.resets.provoke(flow.reply.reversed());
    CHECK(connection.backend.next() == End::kReset);
  });
}

TEST_CASE("A forgotten connection that kept its source is reset at the backend by its client", "[kernel]") {
  for (const auto family : {Family::kIpv4, Family::kIpv6}) {
    inTestNetwork([family] {
      ForwardingLab lab(family, Source::kKeep);
      auto tools = Tools::open();
      auto connection = lab.connect();
      const auto flow = entryOf(tools.conntrack, connection);
      CHECK(flow.mark == ForwardingLab::kKeptMark);
      CHECK(connection.backend.peerAddress() == connection.client.localAddress());
      CHECK(tools.conntrack.remove(flow));
      tools.resets.provoke(flow.original.reversed());
      tools.resets.provoke(flow.reply.reversed());
      CHECK(connection.client.next() == End::kReset);
      CHECK(connection.backend.next() == End::kReset);
    });
  }
}

TEST_CASE("A connection that was not forgotten survives being provoked", "[kernel]") {
  inTestNetwork([] {
    ForwardingLab lab;
    auto tools = Tools::open();
    auto connection = lab.connect();
    const auto flow = entryOf(tools.conntrack, connection);
    tools.resets.provoke(flow.original.reversed());
    tools.resets.provoke(flow.reply.reversed());
    connection.client.send("request");
    CHECK(connection.backend.receive(7) == "request");
    connection.backend.send("answer");
    CHECK(connection.client.receive(6) == "answer");
  });
}

TEST_CASE("Packets of Resets are not tracked where a rule says so by their mark", "[kernel]") {
  inTestNetwork([] {
    ForwardingLab lab;
    auto tools = Tools::open();
    // Nobody is there, so nobody answers.
    tools.resets.provoke(Tuple::between(*Address::parse("10.77.1.1:9000"), *Address::parse("10.77.1.99:5")));
    CHECK(tracked(tools.conntrack) == 0);
    // Without the mark they are.
    auto other = Resets::open(0);
    REQUIRE(other);
    other.value().provoke(Tuple::between(*Address::parse("10.77.1.1:9000"), *Address::parse("10.77.1.99:5")));
    CHECK(tracked(tools.conntrack) == 1);
  });
}

TEST_CASE("Resets::provoke does nothing about a tuple that names no connection", "[kernel]") {
  inTestNetwork([] {
    auto resets = Resets::open(ForwardingLab::kResetMark);
    REQUIRE(resets);
    resets.value().provoke(Tuple());
  });
}

TEST_CASE("Resets::open names the rights that it lacks", "[kernel]") {
  inTestNetwork([] {
    giveUpCapability(CAP_NET_RAW);
    const auto refused = Resets::open(ForwardingLab::kResetMark);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.find("CAP_NET_RAW or CAP_NET_ADMIN is missing") != std::string::npos);
  });
}
