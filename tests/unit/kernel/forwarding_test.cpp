// SPDX-License-Identifier: MIT
//
// Connections through a table: clients and backends in networks of their own on either side of the test's.
#include "kernel/conntrack.h"
#include "kernel/marks.h"
#include "kernel/packet_queue.h"
#include "kernel/resets.h"
#include "kernel/table.h"
#include "lab.h"
#include "plans.h"
#include "support/socket.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <fstream>
#include <map>
#include <sstream>

using namespace lemonade;
using namespace lemonade::kernel;
using namespace lemonade::test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint16_t kTag = 0x4c4d;
constexpr const char* kEntrance4 = "10.77.1.1:9000";
constexpr const char* kEntrance6 = "[fd77:1::1]:9000";

void good(const Status& status) {
  INFO((status.ok() ? "" : status.error().message));
  REQUIRE(status.ok());
}

/// A client, the network of the calling thread with a table, and backends: slots 1 and 2 on IPv4, 3 and 4 on IPv6. The
/// listener 1 listens on both families, and everybody is eligible with weight 1.
class Way {
 public:
  Way() {
    forwardBetween(client, backends);
    plan.tag = kTag;
    plan.queue = 7;
    plan.listeners = {{1, {at(kEntrance4), at(kEntrance6)}, false, {}, {}}};
    backends.in([&] {
      for (std::uint32_t slot = 1; slot <= 4; ++slot) {
        const std::string address = (slot <= 2 ? "10.77.2.2:800" : "[fd77:2::2]:800") + std::to_string(slot);
        listening_.push_back(listenOn(address));
        plan.backends.push_back(test::backend(slot, address));
        plan.listeners[0].eligible.push_back({slot, 1});
      }
    });
  }

  void apply() { good(table.apply(plan)); }

  /// A connection, seen from both ends.
  struct Connection {
    Socket client;
    Socket backend;
    std::uint32_t slot = 0;
  };
  Connection connect(const std::string& to = kEntrance4, const std::string& from = "") {
    Connection connection;
    client.in([&] { connection.client = Socket::connect(to, from); });
    return accept(std::move(connection));
  }
  Connection accept(Connection connection) {
    std::array<pollfd, 4> entries;
    for (std::size_t i = 0; i < entries.size(); ++i) entries[i] = {listening_[i].get(), POLLIN, 0};
    REQUIRE(::poll(entries.data(), entries.size(), Deadline(10s).remainingMillis()) == 1);
    for (std::size_t i = 0; i < entries.size(); ++i)
      if (entries[i].revents != 0) {
        connection.slot = static_cast<std::uint32_t>(i + 1);
        connection.backend = acceptOn(listening_[i].get());
      }
    return connection;
  }
  bool refuses(const std::string& to = kEntrance4) {
    try {
      client.in([&] { (void)Socket::connect(to); });
    } catch (const ResetError&) {
      return true;
    }
    return false;
  }

  Network client;
  Network backends;
  TablePlan plan;
  Table table{"lemonade"};

 private:
  std::vector<Fd> listening_;
};

/// "10.77.1.2" of "10.77.1.2:4711".
std::string hostOf(const std::string& address) { return address.substr(0, address.rfind(':')); }

/// Ends a connection to that entrance.
void end(const Way::Connection& connection, const char* entrance) {
  auto conntrack = Conntrack::open();
  auto resets = Resets::open(resetMark(kTag));
  REQUIRE(conntrack.ok());
  REQUIRE(resets.ok());
  const auto entry = conntrack.value().find(Tuple::between(at(connection.client.localAddress()), at(entrance)));
  REQUIRE(entry);
  REQUIRE(conntrack.value().remove(*entry));
  resets.value().provoke(entry->original.reversed());
  resets.value().provoke(entry->reply.reversed());
}

/// Waits for one packet in the queue and answers it with that mark; false where none comes within the time.
bool answer(PacketQueue& queue, std::uint32_t mark, Millis within = 10s) {
  pollfd entry{queue.fd(), POLLIN, 0};
  if (::poll(&entry, 1, Deadline(within).remainingMillis()) != 1) return false;
  int packets = 0;
  queue.read([&](const QueuedPacket& packet) {
    queue.accept(packet.id, mark);
    ++packets;
  });
  CHECK(packets == 1);
  return true;
}

/// Whether a packet waits in the queue now, which goes on waiting.
bool isAsked(PacketQueue& queue) {
  bool asked = false;
  queue.read([&](const QueuedPacket&) { asked = true; });
  return asked;
}

/// A table of which packets are queued to the test.
struct AskedWay : Way {
  AskedWay() {
    apply();
    good(table.refresh());
  }
  /// The client's socket, whose SYN is in the queue.
  Fd begin(const std::string& to = kEntrance4) {
    Fd fd;
    client.in([&] { fd = beginConnect(to); });
    return fd;
  }
  PacketQueue queue = std::move(PacketQueue::open(7, 100)).value();
};

}  // namespace

TEST_CASE("With nobody at the queue connections are spread by weight, and the source is the balancer's", "[kernel]") {
  inTestNetwork([] {
    Way way;
    way.plan.listeners[0].eligible = {{1, 3}, {2, 1}, {3, 1}};
    way.apply();
    good(way.table.refresh());  // it says so, and nobody is bound: packets pass
    std::map<std::uint32_t, int> count;
    constexpr int kConnections = 400;
    for (int i = 0; i < kConnections; ++i) {
      const auto connection = way.connect();
      ++count[connection.slot];
      if (i == 0) CHECK(hostOf(connection.backend.peerAddress()) == "10.77.2.1");
    }
    CHECK(count[1] + count[2] == kConnections);
    CHECK(count[1] > 250);  // 300 expected, deviation 8.7
    CHECK(count[1] < 350);
    const auto over_six = way.connect(kEntrance6);
    CHECK(over_six.slot == 3);
    CHECK(hostOf(over_six.backend.peerAddress()) == "[fd77:2::1]");
  });
}

TEST_CASE("A listener that keeps the source shows backends the client's address", "[kernel]") {
  inTestNetwork([] {
    Way way;
    way.plan.listeners[0].keep_source = true;
    way.apply();
    CHECK(hostOf(way.connect().backend.peerAddress()) == "10.77.1.2");
    CHECK(hostOf(way.connect(kEntrance6).backend.peerAddress()) == "[fd77:1::2]");
  });
}

TEST_CASE("Bytes go both ways, and live connections outlive every change of the table", "[kernel]") {
  inTestNetwork([] {
    Way way;
    way.apply();
    auto connection = way.connect();
    const auto exchange = [&] {
      connection.client.send("question\n");
      CHECK(connection.backend.receiveLine() == "question");
      connection.backend.send("answer\n");
      CHECK(connection.client.receiveLine() == "answer");
    };
    exchange();
    way.plan.listeners[0].eligible.clear();
    way.plan.backends.clear();
    way.apply();
    exchange();
    good(Table("lemonade").apply(way.plan));
    exchange();
  });
}

TEST_CASE("Where nobody is eligible, and where the entrance has gone, clients are refused", "[kernel]") {
  inTestNetwork([] {
    Way way;
    way.plan.listeners[0].eligible = {{1, 1}};
    way.apply();
    CHECK(way.refuses(kEntrance6));
    CHECK(way.connect().slot == 1);
    way.plan.listeners[0].addresses.pop_back();
    way.plan.listeners[0].eligible.clear();
    way.apply();
    CHECK(way.refuses());
    way.plan.listeners.clear();
    way.apply();
    CHECK(way.refuses());
  });
}

TEST_CASE("A verdict with a backend's mark sends the connection there, eligible or not", "[kernel]") {
  inTestNetwork([] {
    AskedWay way;
    way.plan.listeners[0].eligible.clear();
    way.apply();
    for (const std::uint32_t slot : {2u, 1u, 2u}) {
      const Fd fd = way.begin();
      REQUIRE(answer(way.queue, backendMark(kTag, slot, false)));
      const auto connection = way.accept({});
      CHECK(connection.slot == slot);
      CHECK(connected(fd.get()) == 0);
      CHECK(hostOf(connection.backend.peerAddress()) == "10.77.2.1");
    }
    const Fd kept = way.begin(kEntrance6);
    REQUIRE(answer(way.queue, backendMark(kTag, 4, true)));
    CHECK(hostOf(way.accept({}).backend.peerAddress()) == "[fd77:1::2]");
  });
}

TEST_CASE("A verdict that refuses resets the client, and one for a backend that has gone does too", "[kernel]") {
  inTestNetwork([] {
    AskedWay way;
    for (const auto mark : {refusalMark(kTag), backendMark(kTag, 99, false)})
      for (const char* entrance : {kEntrance4, kEntrance6}) {
        const Fd fd = way.begin(entrance);
        REQUIRE(answer(way.queue, mark));
        CHECK(connected(fd.get()) == ECONNREFUSED);
      }
  });
}

TEST_CASE("Once nothing was heard for three seconds nobody is asked, though the queue is bound", "[kernel]") {
  inTestNetwork([] {
    AskedWay way;
    const Fd fd = way.begin();
    CHECK(answer(way.queue, backendMark(kTag, 1, false)));
    CHECK(way.accept({}).slot == 1);
    CHECK(eventually(
        [&] {
          const Fd late = way.begin();
          pollfd entry{way.queue.fd(), POLLIN, 0};
          if (::poll(&entry, 1, 200) == 0) return connected(late.get()) == 0;
          way.queue.read([&](const QueuedPacket& packet) { way.queue.drop(packet.id); });
          return false;
        },
        10s));
    good(way.table.refresh());
    const Fd again = way.begin();
    CHECK(answer(way.queue, backendMark(kTag, 2, false)));
  });
}

TEST_CASE("A SYN that comes again is not asked about again", "[kernel]") {
  inTestNetwork([] {
    AskedWay way;
    way.backends.in(
        [] { nft("table inet deaf { chain input { type filter hook input priority 0; tcp dport 8001 drop; }; }"); });
    const Fd fd = way.begin();
    REQUIRE(answer(way.queue, backendMark(kTag, 1, false)));
    CHECK(eventually([&] { return retransmits(fd.get()) > 0; }));
    CHECK_FALSE(isAsked(way.queue));
    way.backends.in([] { nft("delete table inet deaf"); });
    CHECK(connected(fd.get()) == 0);
    CHECK(way.accept({}).slot == 1);
  });
}

TEST_CASE("A packet in the middle of a connection that was forgotten is reset, not forwarded", "[kernel]") {
  inTestNetwork([] {
    AskedWay way;
    const Fd fd = way.begin();
    REQUIRE(answer(way.queue, backendMark(kTag, 1, false)));
    auto connection = way.accept({Socket(Fd(::dup(fd.get()))), {}, 0});
    REQUIRE(connected(fd.get()) == 0);
    auto conntrack = Conntrack::open();
    REQUIRE(conntrack.ok());
    const auto entry = conntrack.value().find(Tuple::between(at(connection.client.localAddress()), at(kEntrance4)));
    REQUIRE(entry);
    CHECK(entry->mark == backendMark(kTag, 1, false));
    CHECK(conntrack.value().remove(*entry));
    connection.client.send("x");
    CHECK(connection.client.next() == End::kReset);
    CHECK_FALSE(isAsked(way.queue));
    const auto later = conntrack.value().find(entry->original);
    CHECK((!later || later->mark == 0));  // none of ours, wherever it went
  });
}

TEST_CASE("A connection that is ended is reset at its backend though the client, whose address it kept, is gone",
          "[kernel]") {
  for (const char* entrance : {kEntrance4, kEntrance6})
    inTestNetwork([entrance] {
      Way way;
      way.plan.listeners[0].keep_source = true;
      way.apply();
      auto connection = way.connect(entrance);
      way.client.in([] { shell("ip link set uplink down"); });
      end(connection, entrance);
      CHECK(connection.backend.next() == End::kReset);
    });
}

TEST_CASE("A connection that is ended is reset at both ends past a firewall that drops what is in no connection",
          "[kernel]") {
  for (const bool keep_source : {false, true})
    for (const char* entrance : {kEntrance4, kEntrance6})
      inTestNetwork([&] {
        Way way;
        way.plan.listeners[0].keep_source = keep_source;
        way.apply();
        nft(R"(table inet strict {
                 chain input {
                   type filter hook input priority filter; policy drop;
                   meta l4proto ipv6-icmp accept
                   ct state established accept
                 }
                 chain forward {
                   type filter hook forward priority filter; policy drop;
                   meta l4proto ipv6-icmp accept
                   ct status dnat accept
                 }
               })");
        auto connection = way.connect(entrance);
        end(connection, entrance);
        CHECK(connection.client.next() == End::kReset);
        CHECK(connection.backend.next() == End::kReset);
      });
}

TEST_CASE("A connection of a client on the balancer's own machine is reset at both ends, too", "[kernel]") {
  for (const char* entrance : {kEntrance4, kEntrance6})
    inTestNetwork([entrance] {
      Way way;
      way.apply();
      auto connection = way.accept({Socket::connect(entrance), {}, 0});
      end(connection, entrance);
      CHECK(connection.client.next() == End::kReset);
      CHECK(connection.backend.next() == End::kReset);
    });
}

TEST_CASE("A client that comes again from the port of a connection that was just ended is served", "[kernel]") {
  for (const bool keep_source : {false, true})
    inTestNetwork([keep_source] {
      Way way;
      way.plan.listeners[0].keep_source = keep_source;
      way.plan.listeners[0].eligible = {{1, 1}};
      way.apply();
      auto first = way.connect(kEntrance4, "10.77.1.2:4711");
      end(first, kEntrance4);
      CHECK(first.client.next() == End::kReset);
      CHECK(first.backend.next() == End::kReset);
      first.client.close();
      auto again = way.connect(kEntrance4, "10.77.1.2:4711");
      again.client.send("question\n");
      CHECK(again.backend.receiveLine() == "question");
      again.backend.send("answer\n");
      CHECK(again.client.receiveLine() == "answer");
    });
}

TEST_CASE("Clients on the balancer's own machine are asked about, forwarded and refused as others", "[kernel]") {
  inTestNetwork([] {
    AskedWay way;
    for (const char* entrance : {kEntrance4, kEntrance6}) {
      const bool ipv6 = entrance == kEntrance6;
      const std::uint32_t slot = ipv6 ? 4 : 2;
      const Fd fd = beginConnect(entrance);
      REQUIRE(answer(way.queue, backendMark(kTag, slot, false)));
      CHECK(way.accept({}).slot == slot);
      CHECK(connected(fd.get()) == 0);
      const Fd refused = beginConnect(entrance);
      REQUIRE(answer(way.queue, refusalMark(kTag)));
      CHECK(connected(refused.get()) == ECONNREFUSED);
    }
  });
}

TEST_CASE("A wildcard stands for the machine's addresses and for no others", "[kernel]") {
  inTestNetwork([] {
    Way way;
    way.plan.listeners[0].addresses = {at("0.0.0.0:9000"), at("[::]:9000")};
    way.apply();
    CHECK(way.connect("10.77.1.1:9000").slot <= 2);
    CHECK(way.connect("10.77.2.1:9000").slot <= 2);
    CHECK(way.connect("[fd77:2::1]:9000").slot >= 3);
    Fd other;
    way.backends.in([&] { other = listenOn("10.77.2.2:9000"); });
    good(way.table.refresh());
    auto queue = PacketQueue::open(way.plan.queue, 100);
    REQUIRE(queue.ok());
    Socket past;
    way.client.in([&] { past = Socket::connect("10.77.2.2:9000"); });
    CHECK_FALSE(isAsked(queue.value()));
    const auto accepted = acceptOn(other.get());
    CHECK(hostOf(accepted.peerAddress()) == "10.77.1.2");
  });
}

TEST_CASE("An idle connection, half closed or not, is forgotten after the listener's idle timeout", "[kernel]") {
  inTestNetwork([] {
    Way way;
    way.plan.listeners[0].idle_timeout = 1h;
    way.apply();
    auto connection = way.connect();
    const auto left = [](const char* state) {  // seconds, as in "ipv4 2 tcp 6 3599 ESTABLISHED ..."
      std::ifstream table("/proc/thread-self/net/nf_conntrack");
      std::string word;
      int seconds = -1;
      for (std::string line; std::getline(table, line);) {
        if (line.find("dport=9000") == std::string::npos || line.find(state) == std::string::npos) continue;
        std::istringstream words(line);
        int these = -1;
        words >> word >> word >> word >> word >> these;
        seconds = std::max(seconds, these);
      }
      return seconds;
    };
    CHECK(eventually([&] { return left("ESTABLISHED") > 0; }));
    CHECK(left("ESTABLISHED") <= 3'600);
    CHECK(left("ESTABLISHED") > 3'500);
    connection.client.finishSending();
    CHECK(eventually([&] { return left("CLOSE_WAIT") > 0; }));
    CHECK(left("CLOSE_WAIT") <= 3'600);
    CHECK(left("CLOSE_WAIT") > 3'500);
    way.plan.listeners[0].idle_timeout = 0s;
    way.apply();
    auto endless = way.connect();
    CHECK(eventually([&] { return left("ESTABLISHED") > 20 * 86'400; }));
    endless.backend.finishSending();
    CHECK(eventually([&] { return left("CLOSE_WAIT") > 20 * 86'400; }));
    way.plan.listeners[0].idle_timeout = 1s;
    way.apply();
    auto brief = way.connect();
    CHECK(eventually([&] {
      auto conntrack = Conntrack::open();
      return !conntrack.value().find(Tuple::between(at(brief.client.localAddress()), at(kEntrance4)));
    }));
  });
}
