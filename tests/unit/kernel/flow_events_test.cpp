// SPDX-License-Identifier: MIT
#include "kernel/flow_events.h"

#include "flows.h"
#include "kernel/conntrack.h"

#include <linux/capability.h>
#include <sys/socket.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

using lemonade::Fd;
using lemonade::kernel::Conntrack;
using lemonade::kernel::FlowEntry;
using lemonade::kernel::FlowEvent;
using lemonade::kernel::FlowEvents;
using lemonade::kernel::TcpState;
using namespace lemonade::test;
using What = FlowEvent::What;

namespace {

FlowEvents openEvents(std::uint32_t mark = kWantedMark, std::uint32_t mask = kWantedMask) {
  auto events = FlowEvents::open(mark, mask);
  if (!events) throw std::runtime_error(events.error().message);
  return std::move(events).value();
}

Conntrack openConntrack() {
  auto conntrack = Conntrack::open();
  if (!conntrack) throw std::runtime_error(conntrack.error().message);
  return std::move(conntrack).value();
}

/// Reads until an event is the wanted one, and returns all; fails where none comes.
template <class IsWanted>
std::vector<FlowEvent> readUntil(FlowEvents& events, IsWanted&& is_wanted) {
  std::vector<FlowEvent> seen;
  while (seen.empty() || !is_wanted(seen.back())) {
    REQUIRE(readable(events.fd()));
    CHECK_FALSE(events.read([&](const FlowEvent& event) { seen.push_back(event); }));
  }
  return seen;
}

bool isEstablished(const FlowEvent& event) {
  return event.what == What::kUpdate && event.entry.state == TcpState::kEstablished && event.entry.assured;
}

bool isDestroyed(const FlowEvent& event) { return event.what == What::kDestroy; }

/// A connection that is forgotten after both ends have said something; its bytes without headers.
constexpr std::size_t kBytesIn = 1000;
constexpr std::size_t kBytesOut = 50000;

void exchange(Flow& flow) {
  flow.client.send(std::string(kBytesIn, 'i'));
  flow.server.receive(kBytesIn);
  flow.server.send(std::string(kBytesOut, 'o'));
  flow.client.receive(kBytesOut);
}

}  // namespace

TEST_CASE("FlowEvents tells of a connection from its first packet to its end", "[kernel]") {
  inTestNetwork([] {
    trackFlows();
    auto events = openEvents();
    auto conntrack = openConntrack();
    Flow flow("127.0.0.1:9000");
    auto seen = readUntil(events, isEstablished);
    CHECK(seen.front().what == What::kNew);
    for (const auto& event : seen) {
      CHECK(event.entry.original == flow.tuple());
      CHECK(event.entry.reply == flow.tuple().reversed());
      CHECK(event.entry.mark == kWantedMark);
      CHECK(event.entry.id == seen.front().entry.id);
    }
    CHECK(std::count_if(seen.begin(), seen.end(), [](const auto& event) { return event.what == What::kNew; }) == 1);
    CHECK(seen.front().entry.state == TcpState::kSynSent);
    CHECK_FALSE(seen.front().entry.seen_reply);
    CHECK_FALSE(seen.front().entry.assured);
    CHECK(seen.back().entry.seen_reply);

    exchange(flow);
    CHECK(conntrack.remove(seen.back().entry));
    const auto end = readUntil(events, isDestroyed).back().entry;
    CHECK(end.original == flow.tuple());
    CHECK(end.id == seen.front().entry.id);
    CHECK(end.mark == kWantedMark);
    REQUIRE(end.counted);
    CHECK(end.bytes_in > kBytesIn);
    CHECK(end.bytes_in < kBytesIn + 100 * end.packets_in);
    CHECK(end.bytes_out > kBytesOut);
    CHECK(end.bytes_out < kBytesOut + 100 * end.packets_out);
    CHECK(end.packets_in >= 3);
    CHECK(end.packets_out >= 2);
    CHECK(end.start_unix_ns > 1'600'000'000'000'000'000);
    CHECK(end.stop_unix_ns > end.start_unix_ns);
  });
}

TEST_CASE("FlowEvents tells of the end of a connection over IPv6 once", "[kernel]") {
  inTestNetwork([] {
    trackFlows();
    auto events = openEvents();
    Flow flow("[::1]:9000");
    const auto tuple = flow.tuple();
    flow.client.finishSending();
    flow.server.receiveAll();
    flow.server.close();
    flow.client.receiveAll();
    const auto seen =
        readUntil(events, [](const FlowEvent& event) { return event.entry.state == TcpState::kTimeWait; });
    std::vector<TcpState> states;
    for (const auto& event : seen) {
      CHECK(event.entry.original == tuple);
      states.push_back(event.entry.state);
    }
    const std::vector expected{TcpState::kSynSent, TcpState::kSynReceived, TcpState::kEstablished, TcpState::kTimeWait};
    CHECK(states == expected);
  });
}

TEST_CASE("FlowEvents tells that a half closed connection was forgotten", "[kernel]") {
  inTestNetwork([] {
    trackFlows();
    auto events = openEvents();
    Flow flow("127.0.0.1:9000");
    flow.client.finishSending();
    flow.server.receiveAll();
    auto conntrack = openConntrack();
    const auto entry = conntrack.find(flow.tuple());
    REQUIRE(entry);
    REQUIRE((entry->state == TcpState::kFinWait || entry->state == TcpState::kCloseWait));
    CHECK(conntrack.remove(*entry));
    CHECK(readUntil(events, isDestroyed).back().entry.state == entry->state);
  });
}

TEST_CASE("FlowEvents tells of a reset", "[kernel]") {
  inTestNetwork([] {
    trackFlows();
    auto events = openEvents();
    Flow flow("127.0.0.1:9000");
    flow.client.reset();
    readUntil(events, [](const FlowEvent& event) { return event.entry.state == TcpState::kClose; });
  });
}

TEST_CASE("FlowEvents tells only of connections with its mark", "[kernel]") {
  inTestNetwork([] {
    trackFlows();
    auto events = openEvents();
    // Two connections come before it that it is not to tell of, of which one has no mark at all.
    const Flow other("127.0.0.1:9001");
    const Flow unmarked("127.0.0.1:9002");
    const Flow wanted("127.0.0.1:9000");
    for (const auto& event : readUntil(events, isEstablished)) CHECK(event.entry.original == wanted.tuple());
  });
}

TEST_CASE("FlowEvents compares the mark under its mask", "[kernel]") {
  inTestNetwork([] {
    trackFlows();
    auto by_slot = openEvents(0xffff0001, 0x0000ffff);
    auto by_all = openEvents(0x11110001, 0xffffffff);
    const Flow first("127.0.0.1:9000");
    const Flow second("127.0.0.1:9001");
    const auto is_second = [&](const FlowEvent& event) {
      return isEstablished(event) && event.entry.original == second.tuple();
    };
    CHECK(readUntil(by_slot, is_second).front().entry.original == first.tuple());
    CHECK(readUntil(by_all, is_second).front().entry.original == second.tuple());
  });
}

TEST_CASE("FlowEvents says that connections were not counted", "[kernel]") {
  inTestNetwork([] {
    trackFlows(false);
    auto events = openEvents();
    const Flow flow("127.0.0.1:9000");
    CHECK(openConntrack().remove(readUntil(events, isEstablished).back().entry));
    const auto end = readUntil(events, isDestroyed).back().entry;
    CHECK_FALSE(end.counted);
    CHECK(end.bytes_in == 0);
    CHECK(end.start_unix_ns == 0);
  });
}

TEST_CASE("FlowEvents says when events were lost, and goes on", "[kernel]") {
  inTestNetwork([] {
    trackFlows();
    auto events = openEvents();
    const int little = 1;
    REQUIRE(::setsockopt(events.fd(), SOL_SOCKET, SO_RCVBUF, &little, sizeof(little)) == 0);
    const Fd listening = listenOn("127.0.0.1:9000");
    std::vector<Socket> clients;
    for (int i = 0; i < 50; ++i) clients.push_back(Socket::connect("127.0.0.1:9000"));
    int visited = 0;
    bool lost = false;
    REQUIRE(readable(events.fd()));
    while (events.read([&](const FlowEvent&) { ++visited; })) lost = true;
    CHECK(lost);
    CHECK(visited > 0);
    CHECK(visited < 50);
    clients.front().reset();
    REQUIRE(readable(events.fd()));
    CHECK_FALSE(events.read([&](const FlowEvent& event) { CHECK(event.entry.state == TcpState::kClose); }));
  });
}

TEST_CASE("FlowEvents::open names the right that it lacks", "[kernel]") {
  inTestNetwork([] {
    giveUpCapability(CAP_NET_ADMIN);
    const auto refused = FlowEvents::open(kWantedMark, kWantedMask);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.find("CAP_NET_ADMIN is missing") != std::string::npos);
  });
}
