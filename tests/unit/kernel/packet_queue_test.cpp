// SPDX-License-Identifier: MIT
#include "kernel/packet_queue.h"

#include "kernel/conntrack.h"
#include "kernel/packet.h"
#include "kernel/table.h"
#include "lab.h"
#include "plans.h"
#include "support/deadline.h"

#include <linux/capability.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <optional>
#include <string>
#include <vector>

using lemonade::Address;
using lemonade::Fd;
using lemonade::kernel::Conntrack;
using lemonade::kernel::PacketQueue;
using lemonade::kernel::parseSyn;
using lemonade::kernel::QueuedPacket;
using lemonade::kernel::Table;
using lemonade::kernel::Tuple;
using namespace lemonade::test;

namespace {

constexpr std::uint16_t kQueue = 7;
constexpr std::uint32_t kLimit = 1024;
constexpr auto kAddress = "127.0.0.1:9000";

PacketQueue openQueue(std::uint32_t limit = kLimit) {
  auto queue = PacketQueue::open(kQueue, limit);
  if (!queue) throw std::runtime_error(queue.error().message);
  return std::move(queue).value();
}

/// What is known of a packet after it was read.
struct Seen {
  std::uint32_t id;
  std::uint32_t mark;
  std::optional<Tuple> tuple;
};

std::vector<Seen> readAll(PacketQueue& queue) {
  std::vector<Seen> seen;
  queue.read([&](const QueuedPacket& packet) { seen.push_back({packet.id, packet.mark, parseSyn(packet.bytes)}); });
  return seen;
}

/// The next packet, which has to be the only one.
Seen readOne(PacketQueue& queue) {
  REQUIRE(readable(queue.fd()));
  const auto seen = readAll(queue);
  REQUIRE(seen.size() == 1);
  return seen.front();
}

Tuple tupleOf(const Fd& client) {
  return Tuple::between(Address::parse(localAddressOf(client.get())).value(), Address::parse(kAddress).value());
}

}  // namespace

TEST_CASE("PacketQueue hands out the SYN of a connection, which goes on when it is accepted", "[kernel]") {
  inTestNetwork([] {
    auto queue = openQueue();
    queueSyns(9000, queue.number());
    const Fd listening = listenOn(kAddress);
    CHECK(readAll(queue).empty());
    const Fd client = beginConnect(kAddress);
    const auto seen = readOne(queue);
    CHECK(seen.mark == 0);
    CHECK(seen.tuple == tupleOf(client));
    queue.accept(seen.id);
    CHECK(connected(client.get()) == 0);
    CHECK(retransmits(client.get()) == 0);
    CHECK(readAll(queue).empty());
  });
}

TEST_CASE("PacketQueue hands out the SYN of a connection over IPv6", "[kernel]") {
  inTestNetwork([] {
    auto queue = openQueue();
    queueSyns(9000, queue.number(), true);
    const Fd listening = listenOn("[::1]:9000");
    const Fd client = beginConnect("[::1]:9000");
    const auto seen = readOne(queue);
    REQUIRE(seen.tuple);
    CHECK(seen.tuple->source().text() == localAddressOf(client.get()));
    CHECK(seen.tuple->destination().text() == "[::1]:9000");
    queue.accept(seen.id);
    CHECK(connected(client.get()) == 0);
  });
}

TEST_CASE("A mark that PacketQueue::accept gives is seen by the rules behind the queue", "[kernel]") {
  inTestNetwork([] {
    nft(R"(table inet behind {
             chain note { type filter hook postrouting priority mangle; ct state new ct mark set meta mark; }
             chain refuse { type filter hook input priority filter; meta mark 0x4c4d7fff reject with tcp reset; }
           })");
    auto queue = openQueue();
    queueSyns(9000, queue.number());
    const Fd listening = listenOn(kAddress);
    const Fd refused = beginConnect(kAddress);
    queue.accept(readOne(queue).id, 0x4c4d7fff);
    CHECK(connected(refused.get()) == ECONNREFUSED);
    const Fd client = beginConnect(kAddress);
    queue.accept(readOne(queue).id, 0x4c4d0003);
    CHECK(connected(client.get()) == 0);
    auto conntrack = Conntrack::open();
    REQUIRE(conntrack);
    const auto flow = conntrack.value().find(tupleOf(client));
    REQUIRE(flow);
    CHECK(flow->mark == 0x4c4d0003);
  });
}

TEST_CASE("A packet that PacketQueue::drop takes is sent again by its sender", "[kernel]") {
  inTestNetwork([] {
    auto queue = openQueue();
    queueSyns(9000, queue.number());
    const Fd listening = listenOn(kAddress);
    const Fd client = beginConnect(kAddress);
    const auto first = readOne(queue);
    queue.drop(first.id);
    const auto second = readOne(queue);
    CHECK(second.id != first.id);
    CHECK(second.tuple == first.tuple);
    queue.accept(second.id);
    CHECK(connected(client.get()) == 0);
    CHECK(retransmits(client.get()) >= 1);
  });
}

TEST_CASE("Packets may be decided on later and in any order", "[kernel]") {
  inTestNetwork([] {
    auto queue = openQueue();
    queueSyns(9000, queue.number());
    const Fd listening = listenOn(kAddress);
    std::vector<Fd> clients;
    std::vector<Seen> waiting;
    for (int i = 0; i < 3; ++i) {
      clients.push_back(beginConnect(kAddress));
      waiting.push_back(readOne(queue));
    }
    for (const int i : {2, 0, 1}) {
      CHECK(waiting[static_cast<std::size_t>(i)].tuple == tupleOf(clients[static_cast<std::size_t>(i)]));
      queue.accept(waiting[static_cast<std::size_t>(i)].id);
      CHECK(connected(clients[static_cast<std::size_t>(i)].get()) == 0);
    }
    // A decision about a packet that is gone is without effect.
    queue.accept(waiting[0].id);
    queue.accept(12345);
    CHECK(readAll(queue).empty());
  });
}

TEST_CASE("PacketQueue::open goes past a number that is taken", "[kernel]") {
  inTestNetwork([] {
    const auto first = openQueue();
    CHECK(first.number() == kQueue);
    auto second = openQueue();
    CHECK(second.number() == kQueue + 1);
    const auto third = openQueue();
    CHECK(third.number() == kQueue + 2);
    second = openQueue();
    CHECK(second.number() == kQueue + 3);
    CHECK(openQueue().number() == kQueue + 1);
  });
}

TEST_CASE("PacketQueue::open says so where no number is left", "[kernel]") {
  inTestNetwork([] {
    const auto last = PacketQueue::open(65535, kLimit);
    REQUIRE(last);
    const auto refused = PacketQueue::open(65535, kLimit);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message ==
          "cannot bind a queue of packets: every number from 65535 on has an owner (see "
          "/proc/net/netfilter/nfnetlink_queue)");
  });
}

TEST_CASE("PacketQueue::open names the right that it lacks, whether or not the number is free", "[kernel]") {
  inTestNetwork([] {
    const auto first = openQueue();
    giveUpCapability(CAP_NET_ADMIN);
    for (const std::uint16_t number : {kQueue, std::uint16_t{100}}) {
      const auto refused = PacketQueue::open(number, kLimit);
      REQUIRE_FALSE(refused);
      CHECK(refused.error().message.find("CAP_NET_ADMIN is missing") != std::string::npos);
    }
  });
}

TEST_CASE("What PacketQueue has no room for goes on undecided", "[kernel]") {
  inTestNetwork([] {
    auto queue = openQueue(1);
    queueSyns(9000, queue.number());
    const Fd listening = listenOn(kAddress);
    const Fd waiting = beginConnect(kAddress);
    const Fd passing = beginConnect(kAddress);
    CHECK(connected(passing.get()) == 0);
    CHECK(retransmits(passing.get()) == 0);
    const auto seen = readOne(queue);
    CHECK(seen.tuple == tupleOf(waiting));
    queue.accept(seen.id);
    CHECK(connected(waiting.get()) == 0);
  });
}

TEST_CASE("PacketQueue::askAnew has the queue asked that the rules name by now", "[kernel]") {
  inTestNetwork([] {
    auto before = openQueue();
    queueSyns(9000, before.number());
    const Fd listening = listenOn(kAddress);
    const Fd read = beginConnect(kAddress);
    const auto seen = readOne(before);
    const Fd unread = beginConnect(kAddress);
    REQUIRE(readable(before.fd()));
    auto after = openQueue();
    // One of both has the rule.
    shell("nft flush chain inet queueing ask; nft flush chain ip mangle OUTPUT 2>/dev/null || true");
    queueSyns(9000, after.number());
    before.askAnew();
    before.close();
    REQUIRE(readable(after.fd()));
    const auto waiting = readAll(after);
    REQUIRE(waiting.size() == 2);
    CHECK(waiting[0].tuple == seen.tuple);
    for (const auto& packet : waiting) after.accept(packet.id);
    for (const auto* client : {&read, &unread}) {
      CHECK(connected(client->get()) == 0);
      CHECK(retransmits(client->get()) == 0);
    }
  });
}

TEST_CASE("Table::check drops nothing that waits in a PacketQueue, where there is a table", "[kernel]") {
  inTestNetwork([] {
    REQUIRE(Table("lemonade").apply(smallPlan()));
    auto queue = openQueue();
    queueSyns(9000, queue.number());
    const Fd listening = listenOn(kAddress);
    const Fd client = beginConnect(kAddress);
    const auto seen = readOne(queue);
    REQUIRE(Table("lemonade").check());
    queue.accept(seen.id);
    CHECK(connected(client.get()) == 0);
    CHECK(retransmits(client.get()) == 0);
  });
}

TEST_CASE("What waits in a PacketQueue goes on when it is closed", "[kernel]") {
  inTestNetwork([] {
    auto queue = std::optional(openQueue());
    queueSyns(9000, queue->number());
    const Fd listening = listenOn(kAddress);
    const Fd read = beginConnect(kAddress);
    readOne(*queue);
    const Fd unread = beginConnect(kAddress);
    REQUIRE(readable(queue->fd()));
    queue.reset();
    for (const auto* client : {&read, &unread}) {
      CHECK(connected(client->get()) == 0);
      CHECK(retransmits(client->get()) == 0);
    }
    // From now on nobody is asked.
    CHECK(connected(beginConnect(kAddress).get()) == 0);
  });
}

TEST_CASE("A PacketQueue that was moved goes on with its number and its packets", "[kernel]") {
  inTestNetwork([] {
    auto queue = openQueue();
    queueSyns(9000, queue.number());
    const Fd listening = listenOn(kAddress);
    const Fd client = beginConnect(kAddress);
    auto moved = std::move(queue);
    CHECK(moved.number() == kQueue);
    moved.accept(readOne(moved).id);
    CHECK(connected(client.get()) == 0);
    CHECK(retransmits(client.get()) == 0);
  });
}
