// SPDX-License-Identifier: MIT
//
// What becomes of a flow: the flow set before a kernel that does what the test says, with a pool in this process.
// Nothing here waits.
#include "proxy/flow_set.h"

#include "balance/feedback.h"
#include "kernel/marks.h"
#include "unit/proxy/one_worker.h"

#include <catch2/catch.hpp>

#include <map>
#include <string>
#include <vector>

namespace lemonade::proxy {
namespace {

using namespace std::chrono_literals;
using kernel::FlowEntry;
using kernel::FlowEvent;
using kernel::TcpState;
using Sent = std::vector<std::uint32_t>;

constexpr std::uint16_t kTag = 0x4c4d;

/// The first packet of a connection: IPv4 and TCP, without options.
std::vector<std::byte> synOf(const kernel::Tuple& tuple) {
  std::vector<std::byte> packet(40);
  const auto put = [&](std::size_t at, std::uint32_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) packet[at + i] = std::byte(value >> (8 * (bytes - 1 - i)));
  };
  put(0, 0x45, 1);
  put(2, 40, 2);
  put(8, 64, 1);
  put(9, 6, 1);
  for (std::size_t i = 0; i < 4; ++i) {
    packet[12 + i] = std::byte(tuple.source_host[i]);
    packet[16 + i] = std::byte(tuple.destination_host[i]);
  }
  put(20, tuple.source_port, 2);
  put(22, tuple.destination_port, 2);
  put(32, 5 << 4, 1);
  put(33, 2, 1);
  put(34, 65535, 2);
  return packet;
}

/// Notes what it is told, and knows the entries that the test has made.
struct ScriptedGate final : FlowGate {
  void send(std::uint32_t packet, std::uint32_t mark) noexcept override { sent[packet] = mark; }
  void drop(std::uint32_t packet) noexcept override { dropped.push_back(packet); }
  std::optional<FlowEntry> find(const kernel::Tuple& original) noexcept override {
    for (const auto& entry : entries)
      if (entry.original == original) return entry;
    return std::nullopt;
  }
  bool forget(const FlowEntry& entry) noexcept override {
    forgotten.push_back(entry.id);
    return std::erase_if(entries, [&](const auto& one) { return one.id == entry.id; }) != 0;
  }
  void reset(const FlowEntry& entry) noexcept override { resets.push_back(entry.id); }
  bool each(const std::function<void(const FlowEntry&)>& visit) noexcept override {
    for (const auto& entry : entries) visit(entry);
    return true;
  }

  std::map<std::uint32_t, std::uint32_t> sent;
  Sent dropped, forgotten, resets;
  std::vector<FlowEntry> entries;
};

struct Fixture : OneWorker {
  Fixture() { flows.open(gate); }
  ~Fixture() { flows.letGo(); }

  /// The kernel forwards to these backends from now on.
  void forward(const std::vector<std::string>& addresses, std::uint32_t limit = 0) {
    backends(addresses, limit);
    plan = std::make_shared<FlowPlan>();
    plan->tag = kTag;
    plan->entrances.push_back({*Address::parse("192.0.2.80:80"), listener, false});
    std::uint32_t slot = 0;
    for (const auto& one : *pool.backends()) {
      plan->places[++slot] = {one, std::shared_ptr<Pool>(std::shared_ptr<void>(), &pool)};
      plan->slots[one.get()] = slot;
    }
    flows.use(plan);
  }
  static kernel::Tuple tuple(std::uint16_t port) {
    return kernel::Tuple::between(*Address::parse("198.51.100.7:" + std::to_string(port)),
                                  *Address::parse("192.0.2.80:80"));
  }
  /// The first packet of a client from this port, whose id is the port.
  void syn(std::uint16_t port) {
    const auto bytes = synOf(tuple(port));
    flows.handlePacket({port, 0, bytes});
  }
  /// What conntrack has of the client from this port.
  FlowEntry& entry(std::uint16_t port, TcpState state, std::uint32_t id = 0) {
    for (auto& one : gate.entries)
      if (one.original == tuple(port)) {
        one.state = state;
        return one;
      }
    FlowEntry made;
    made.original = tuple(port);
    made.reply = kernel::Tuple::between(*Address::parse(kA), *Address::parse("192.0.2.80:" + std::to_string(port)));
    made.id = id != 0 ? id : port;
    made.mark = gate.sent.contains(port) ? gate.sent[port] : kernel::backendMark(kTag, 1, false);
    made.state = state;
    gate.entries.push_back(made);
    return gate.entries.back();
  }
  void tell(FlowEvent::What what, const FlowEntry& entry) { flows.handleEvent({what, entry}); }
  void connected(std::uint16_t port) {
    tell(FlowEvent::What::kNew, entry(port, TcpState::kSynSent));
    auto& known = entry(port, TcpState::kSynReceived);
    known.seen_reply = true;
    tell(FlowEvent::What::kUpdate, known);
    known.assured = true;
    tell(FlowEvent::What::kUpdate, entry(port, TcpState::kEstablished));
  }
  void passes(Duration time) {
    clock.advance(time);
    flows.handleDue(now());
  }
  std::uint32_t active() const { return backend->active(); }
  BackendCounters& counted() { return backend->counters(0); }

  ScriptedGate gate;
  std::shared_ptr<FlowPlan> plan;
  FlowSet flows{0, mailbox, clock};
};

}  // namespace

TEST_CASE_METHOD(Fixture, "FlowSet sends a first packet to the backend that was picked", "[proxy]") {
  forward({kA, kB});
  syn(1000);
  CHECK(gate.sent.at(1000) == kernel::backendMark(kTag, 1, false, true));
  CHECK(active() == 1);
  CHECK(listener->admission().taken() == 1);
  CHECK(counters().clients.value() == 1);
  CHECK(strategy.local_byte == 80);  // it may know where the client came to
}

TEST_CASE_METHOD(Fixture, "FlowSet lets go a packet that is for no listener of ours", "[proxy]") {
  forward({kA});
  const auto other = kernel::Tuple::between(*Address::parse("198.51.100.7:1"), *Address::parse("192.0.2.80:81"));
  flows.handlePacket({1, 7, synOf(other)});
  CHECK(gate.sent.at(1) == 7);
  const std::vector<std::byte> nothing(3);
  flows.handlePacket({2, 8, nothing});
  CHECK(gate.sent.at(2) == 8);
  CHECK(flows.size() == 0);
}

TEST_CASE_METHOD(Fixture, "FlowSet measures the connect and counts the session when the backend answers", "[proxy]") {
  forward({kA});
  syn(1000);
  clock.advance(3ms);
  connected(1000);
  CHECK(counted().sessions.value() == 1);
  CHECK(backend->stats().connect_ewma_ns == 3e6);
  CHECK(active() == 1);
}

TEST_CASE_METHOD(Fixture, "FlowSet gives the place back and counts bytes when both sides have ended", "[proxy]") {
  forward({kA});
  syn(1000);
  connected(1000);
  auto& known = entry(1000, TcpState::kTimeWait);
  known.counted = true;
  known.bytes_in = 500;
  known.bytes_out = 9000;
  tell(FlowEvent::What::kUpdate, known);
  CHECK(active() == 0);
  CHECK(flows.size() == 0);
  CHECK(listener->admission().taken() == 0);
  CHECK(counted().bytes_in.value() == 500);
  CHECK(counted().bytes_out.value() == 9000);
  tell(FlowEvent::What::kDestroy, known);  // two minutes later
  CHECK(counted().bytes_in.value() == 500);
}

TEST_CASE_METHOD(Fixture, "FlowSet tells who has sent a reset by the mark of the entry", "[proxy]") {
  forward({kA});
  for (const std::uint16_t port : {1000, 1001}) {
    syn(port);
    connected(port);
  }
  auto& by_backend = entry(1000, TcpState::kClose);
  by_backend.mark |= kernel::kResetBit;
  tell(FlowEvent::What::kUpdate, by_backend);
  CHECK(counted().resets.value() == 1);
  CHECK(listenerCounters().client_resets.value() == 0);
  tell(FlowEvent::What::kUpdate, entry(1001, TcpState::kClose));
  CHECK(counted().resets.value() == 1);
  CHECK(listenerCounters().client_resets.value() == 1);
}

TEST_CASE_METHOD(Fixture, "FlowSet takes a reset of the backend before the handshake for a refusal", "[proxy]") {
  forward({kA});
  pool.settings().retries = 0;
  syn(1000);
  tell(FlowEvent::What::kNew, entry(1000, TcpState::kSynSent));
  auto& known = entry(1000, TcpState::kClose);
  known.counted = true;
  known.packets_out = 1;
  tell(FlowEvent::What::kDestroy, known);
  CHECK(counted().connect_refused.value() == 1);
  CHECK(counted().sessions.value() == 0);
  CHECK(counters().connect_failed.value() == 1);
  CHECK(backend->stats().fail_streak == 1);
  CHECK(flows.size() == 0);
}

TEST_CASE_METHOD(Fixture, "FlowSet picks another backend for the next try of a client that was not answered",
                 "[proxy]") {
  forward({kA, kB});
  pool.settings().connect_timeout_ns = 1'000'000'000;
  syn(1000);
  tell(FlowEvent::What::kNew, entry(1000, TcpState::kSynSent));
  passes(999ms);
  CHECK(gate.forgotten.empty());
  passes(51ms);
  CHECK(gate.forgotten == Sent{1000});
  CHECK(counted().connect_timeouts.value() == 1);
  CHECK(active() == 0);
  CHECK(counters().retries.value() == 1);
  syn(1000);
  CHECK(gate.sent.at(1000) == kernel::backendMark(kTag, 2, false, true));
  CHECK(flows.size() == 1);
}

TEST_CASE_METHOD(Fixture, "FlowSet gives up a client that does not try again", "[proxy]") {
  forward({kA, kB});
  pool.settings().connect_timeout_ns = 1'000'000'000;
  syn(1000);
  tell(FlowEvent::What::kNew, entry(1000, TcpState::kSynSent));
  passes(1050ms);
  REQUIRE(flows.size() == 1);
  passes(9s);
  REQUIRE(flows.size() == 1);
  passes(1s);
  CHECK(flows.size() == 0);
  CHECK(counters().connect_failed.value() == 1);
  CHECK(listener->admission().taken() == 0);
}

TEST_CASE_METHOD(Fixture, "FlowSet keeps a refusal from a client, which gets another backend when it comes again",
                 "[proxy]") {
  forward({kA, kB});
  pool.settings().retries = 1;
  syn(1000);
  CHECK(gate.sent.at(1000) == kernel::backendMark(kTag, 1, false, true));
  tell(FlowEvent::What::kNew, entry(1000, TcpState::kSynSent));
  tell(FlowEvent::What::kDestroy, entry(1000, TcpState::kClose));
  CHECK(counted().connect_refused.value() == 1);
  CHECK(active() == 0);
  gate.entries.clear();
  syn(1000);
  CHECK(gate.sent.at(1000) == kernel::backendMark(kTag, 2, false, false));  // the last one: its refusal is told
  tell(FlowEvent::What::kNew, entry(1000, TcpState::kSynSent, 77));
  auto& known = entry(1000, TcpState::kClose);
  tell(FlowEvent::What::kDestroy, known);
  CHECK(flows.size() == 0);
  CHECK(counters().connect_failed.value() == 1);
}

TEST_CASE_METHOD(Fixture, "FlowSet refuses a client that nobody has answered as often as retries allow", "[proxy]") {
  forward({kA, kB});
  pool.settings().retries = 0;
  pool.settings().connect_timeout_ns = 1'000'000'000;
  syn(1000);
  tell(FlowEvent::What::kNew, entry(1000, TcpState::kSynSent));
  passes(1050ms);
  syn(1000);
  CHECK(gate.sent.at(1000) == kernel::refusalMark(kTag));
  CHECK(counters().connect_failed.value() == 1);
  CHECK(flows.size() == 0);
}

TEST_CASE_METHOD(Fixture, "FlowSet blames no backend for a client that resets before it is answered", "[proxy]") {
  forward({kA});
  syn(1000);
  tell(FlowEvent::What::kNew, entry(1000, TcpState::kSynSent));
  auto& known = entry(1000, TcpState::kClose);
  known.counted = true;
  known.packets_in = 2;
  tell(FlowEvent::What::kDestroy, known);
  CHECK(counted().connect_refused.value() == 0);
  CHECK(counters().abandoned.value() == 1);
}

TEST_CASE_METHOD(Fixture, "FlowSet refuses a client for whom no backend is there", "[proxy]") {
  forward({});
  syn(1000);
  CHECK(gate.sent.at(1000) == kernel::refusalMark(kTag));
  CHECK(counters().no_backend.value() == 1);
  CHECK(flows.size() == 0);
}

TEST_CASE_METHOD(Fixture, "FlowSet refuses a client that the strategy rejects", "[proxy]") {
  forward({kA});
  strategy.instead = LEMONADE_PICK_REJECT;
  syn(1000);
  CHECK(gate.sent.at(1000) == kernel::refusalMark(kTag));
  CHECK(counters().strategy_rejected.value() == 1);
}

TEST_CASE_METHOD(Fixture, "FlowSet holds clients for whom there is no place, and serves them in their order",
                 "[proxy]") {
  forward({kA}, 1);
  pool.settings().queue_timeout_ns = 5'000'000'000;
  for (const std::uint16_t port : {1000, 1001, 1002}) syn(port);
  CHECK(gate.sent.size() == 1);
  CHECK(counters().queued.value() == 2);
  syn(1001);  // it is impatient
  CHECK(gate.dropped == Sent{1001});
  connected(1000);
  tell(FlowEvent::What::kUpdate, entry(1000, TcpState::kTimeWait));
  passes(0ms);
  CHECK(gate.sent.contains(1001));
  CHECK_FALSE(gate.sent.contains(1002));
  connected(1001);
  passes(5s);
  CHECK(gate.sent.at(1002) == kernel::refusalMark(kTag));
  CHECK(counters().queue_timeouts.value() == 1);
}

TEST_CASE_METHOD(Fixture, "FlowSet drops first packets beyond the limit of the listener", "[proxy]") {
  forward({kA});
  listener->admission().setLimit(1);
  syn(1000);
  connected(1000);
  syn(1001);
  CHECK(gate.dropped == Sent{1001});
  CHECK(flows.size() == 1);
}

TEST_CASE_METHOD(Fixture, "FlowSet has the oldest half open flow give way where a listener is full", "[proxy]") {
  forward({kA});
  listener->admission().setLimit(2);
  syn(1000);
  syn(1001);
  connected(1001);
  syn(1002);
  CHECK(gate.dropped == Sent{1002});  // nobody has had time for a handshake yet
  clock.advance(1s);
  tell(FlowEvent::What::kNew, entry(1000, TcpState::kSynSent));
  syn(1003);
  CHECK(gate.forgotten == Sent{1000});
  CHECK(gate.sent.contains(1003));
  CHECK(flows.size() == 2);
}

TEST_CASE_METHOD(Fixture, "FlowSet takes in a flow that nobody was asked about, once its handshake is complete",
                 "[proxy]") {
  forward({kA});
  tell(FlowEvent::What::kNew, entry(1000, TcpState::kSynSent));
  CHECK(flows.size() == 0);  // of a flood that passes us, say
  connected(1000);
  CHECK(active() == 1);
  CHECK(listener->admission().taken() == 1);
  CHECK(counters().clients.value() == 1);
  CHECK(counted().sessions.value() == 1);
  tell(FlowEvent::What::kUpdate, entry(1000, TcpState::kTimeWait));
  CHECK(flows.size() == 0);
}

TEST_CASE_METHOD(Fixture, "FlowSet takes in nothing of which only an old event tells", "[proxy]") {
  forward({kA});
  auto& known = entry(1000, TcpState::kEstablished);
  known.assured = true;
  const auto old = known;
  gate.entries.clear();
  tell(FlowEvent::What::kUpdate, old);
  CHECK(flows.size() == 0);
}

TEST_CASE_METHOD(Fixture, "FlowSet asks nothing of a backend that a held flow does not have", "[proxy]") {
  forward({kA}, 1);
  pool.settings().queue_timeout_ns = 5'000'000'000;
  syn(1000);
  connected(1000);
  syn(1001);
  // Its packet was sent again and went by weights, and came to an end.
  auto& known = entry(1001, TcpState::kClose);
  known.mark |= kernel::kResetBit;
  flows.handleLoss();
  tell(FlowEvent::What::kUpdate, known);
  tell(FlowEvent::What::kDestroy, known);
  CHECK(flows.size() == 2);
  CHECK(counted().resets.value() == 0);
}

TEST_CASE_METHOD(Fixture, "FlowSet lets go of a flow that the table has sent elsewhere", "[proxy]") {
  forward({kA, kB});
  syn(1000);
  auto& known = entry(1000, TcpState::kSynSent);
  known.mark = kernel::backendMark(kTag, 2, false);  // by weights, while the answer was on its way
  tell(FlowEvent::What::kNew, known);
  CHECK(active() == 0);
  CHECK(flows.size() == 0);
}

TEST_CASE_METHOD(Fixture, "FlowSet blames no backend for a packet that came no further than this machine", "[proxy]") {
  forward({kA});
  pool.settings().connect_timeout_ns = 1'000'000'000;
  syn(1000);
  passes(1050ms);
  CHECK(flows.size() == 0);
  CHECK(counted().connect_timeouts.value() == 0);
  CHECK(counters().abandoned.value() == 1);
}

TEST_CASE_METHOD(Fixture, "FlowSet gives no client a backend of the other address family", "[proxy]") {
  forward({"[2001:db8::1]:1", kB});
  syn(1000);
  CHECK(kernel::slotOf(gate.sent.at(1000)) == 2);
  CHECK(active() == 0);
  forward({"[2001:db8::1]:1"});
  syn(1001);
  CHECK(gate.sent.at(1001) == kernel::refusalMark(kTag));
  CHECK(active() == 0);
}

TEST_CASE_METHOD(Fixture, "FlowSet holds only so many clients that others can still be asked about", "[proxy]") {
  forward({kA}, 1);
  listener->admission().setLimit(10'000);
  pool.settings().queue_timeout_ns = 5'000'000'000;
  for (std::uint16_t port = 1000; port < 1000 + 600; ++port) syn(port);
  CHECK(counters().queued.value() == 512);
  CHECK(gate.dropped.size() == 600 - 512 - 1);
  CHECK(flows.size() == 513);
}

TEST_CASE_METHOD(Fixture, "FlowSet adopts what the process before has forwarded, and counts it once", "[proxy]") {
  forward({kA});
  auto& known = entry(1000, TcpState::kEstablished);
  known.seen_reply = known.assured = true;
  known.counted = true;
  known.bytes_in = 100;
  known.start_unix_ns = unixNs() - 1'000'000'000;
  SECTION("of one that died") {
    flows.adopt(false);
    CHECK(counters().clients.value() == 1);
    CHECK(counted().sessions.value() == 1);
    CHECK(counted().bytes_in.value() == 100);
  }
  SECTION("of one whose totals are ours") {
    flows.adopt(true);
    CHECK(counters().clients.value() == 0);
    CHECK(counted().sessions.value() == 0);
    CHECK(counted().bytes_in.value() == 0);
  }
  CHECK(active() == 1);
  CHECK(counted().connect_time.sum().count == 0);
  entry(1000, TcpState::kTimeWait).bytes_in = 150;
  tell(FlowEvent::What::kUpdate, entry(1000, TcpState::kTimeWait));
  CHECK(active() == 0);
}

TEST_CASE_METHOD(Fixture, "FlowSet finds out after a loss which flows are over", "[proxy]") {
  forward({kA});
  for (const std::uint16_t port : {1000, 1001}) {
    syn(port);
    connected(port);
  }
  gate.entries.erase(gate.entries.begin());
  flows.handleLoss();
  CHECK(flows.size() == 1);
  CHECK(active() == 1);
}

TEST_CASE_METHOD(Fixture, "FlowSet resets both sides of a flow that a drain ends", "[proxy]") {
  forward({kA});
  syn(1000);
  connected(1000);
  flows.drains().add({}, {now(), now()});
  passes(0ms);
  CHECK(gate.forgotten == Sent{1000});
  CHECK(gate.resets == Sent{1000});
  CHECK(listenerCounters().drain_closed.value() == 1);
  CHECK(flows.size() == 0);
}

TEST_CASE_METHOD(Fixture, "FlowSet without flows is done with a drain that is over", "[proxy]") {
  FlowSet without_gate(0, mailbox, clock);
  without_gate.drains().add({}, {now(), now()});
  REQUIRE(without_gate.nextDue() != 0);
  without_gate.handleDue(now());
  CHECK(without_gate.nextDue() == 0);
}

TEST_CASE_METHOD(Fixture, "FlowSet resets both sides of a flow that was idle for too long", "[proxy]") {
  forward({kA});
  syn(1000);
  connected(1000);
  const auto gone = entry(1000, TcpState::kEstablished);
  gate.entries.clear();
  tell(FlowEvent::What::kDestroy, gone);
  CHECK(gate.resets == Sent{1000});
  CHECK(counted().idle_timeouts.value() == 1);
}

TEST_CASE_METHOD(Fixture, "FlowSet takes a client that comes again from the same port for another one", "[proxy]") {
  forward({kA});
  syn(1000);
  connected(1000);
  syn(1000);
  CHECK(counters().clients.value() == 2);
  CHECK(active() == 1);
  gate.entries.clear();
  tell(FlowEvent::What::kNew, entry(1000, TcpState::kSynSent, 77));
  auto old = entry(1000, TcpState::kClose);
  old.id = 1000;
  tell(FlowEvent::What::kDestroy, old);  // of the one before
  CHECK(flows.size() == 1);
}

TEST_CASE_METHOD(Fixture, "FlowSet lets go of its flows without ending them", "[proxy]") {
  forward({kA}, 1);
  pool.settings().queue_timeout_ns = 5'000'000'000;
  syn(1000);
  connected(1000);
  syn(1001);
  flows.letGo();
  CHECK(gate.resets.empty());
  CHECK(gate.sent.at(1001) == 0);  // by the weights of the table
  CHECK(active() == 0);
  CHECK(pool.sessions() == 0);
}

}  // namespace lemonade::proxy
