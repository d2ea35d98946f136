// SPDX-License-Identifier: MIT
//
// What becomes of a first packet, and when flows end by us.
#include "unit/proxy/one_gate.h"

#include <catch2/catch.hpp>

namespace lemonade::proxy {

TEST_CASE_METHOD(OneGate, "FlowSet sends a first packet to the backend that was picked", "[proxy]") {
  forward({kA, kB});
  syn(1000);
  CHECK(gate.sent.at(1000) == kernel::backendMark(kTag, 1, false, true));
  CHECK(active() == 1);
  CHECK(listener->admission().taken() == 1);
  CHECK(counters().clients.value() == 1);
  CHECK(strategy.local_byte == 80);  // it may know where the client came to
}

TEST_CASE_METHOD(OneGate, "FlowSet lets go a packet that is for no listener of ours", "[proxy]") {
  forward({kA});
  const auto other = kernel::Tuple::between(*Address::parse("198.51.100.7:1"), *Address::parse("192.0.2.80:81"));
  flows.handlePacket({1, 7, synOf(other)});
  CHECK(gate.sent.at(1) == 7);
  const std::vector<std::byte> nothing(3);
  flows.handlePacket({2, 8, nothing});
  CHECK(gate.sent.at(2) == 8);
  CHECK(flows.size() == 0);
}

TEST_CASE_METHOD(OneGate, "FlowSet picks another backend for the next try of a client that was not answered",
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

TEST_CASE_METHOD(OneGate, "FlowSet gives up a client that does not try again", "[proxy]") {
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

TEST_CASE_METHOD(OneGate, "FlowSet refuses a client for whom no backend is there", "[proxy]") {
  forward({});
  syn(1000);
  CHECK(gate.sent.at(1000) == kernel::refusalMark(kTag));
  CHECK(counters().no_backend.value() == 1);
  CHECK(flows.size() == 0);
}

TEST_CASE_METHOD(OneGate, "FlowSet refuses a client that the strategy rejects", "[proxy]") {
  forward({kA});
  strategy.instead = LEMONADE_PICK_REJECT;
  syn(1000);
  CHECK(gate.sent.at(1000) == kernel::refusalMark(kTag));
  CHECK(counters().strategy_rejected.value() == 1);
}

TEST_CASE_METHOD(OneGate, "FlowSet holds clients for whom there is no place, and serves them in their order",
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

TEST_CASE_METHOD(OneGate, "FlowSet serves a client that waits by the packet that it has sent last", "[proxy]") {
  forward({kA}, 1);
  pool.settings().queue_timeout_ns = 5'000'000'000;
  syn(1000);
  syn(1001);
  flows.handlePacket({77, 0, synOf(tuple(1001))});
  CHECK(gate.dropped == Sent{1001});  // if it is still there
  connected(1000);
  tell(FlowEvent::What::kUpdate, entry(1000, TcpState::kTimeWait));
  passes(0ms);
  CHECK(gate.sent.contains(77));
}

TEST_CASE_METHOD(OneGate, "FlowSet drops first packets beyond the limit of the listener", "[proxy]") {
  forward({kA});
  listener->admission().setLimit(1);
  syn(1000);
  connected(1000);
  syn(1001);
  CHECK(gate.dropped == Sent{1001});
  CHECK(listenerCounters().dropped_full.value() == 1);
  CHECK(listenerCounters().dropped_queued.value() == 0);
  CHECK(flows.size() == 1);
}

TEST_CASE_METHOD(OneGate, "FlowSet has the oldest half open flow give way where a listener is full", "[proxy]") {
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

TEST_CASE_METHOD(OneGate, "FlowSet finds the half open flow of a listener however many another one has", "[proxy]") {
  forward({kA});
  second->admission().setLimit(1);
  for (std::uint16_t port = 2000; port < 2080; ++port) syn(port);
  syn(1000, "192.0.2.80:82");
  clock.advance(1s);
  syn(1001, "192.0.2.80:82");
  CHECK(gate.dropped.empty());
  CHECK(gate.sent.contains(1001));
  CHECK(second->admission().taken() == 1);
  CHECK(listener->admission().taken() == 80);
}

TEST_CASE_METHOD(OneGate, "FlowSet gives no client a backend of the other address family", "[proxy]") {
  forward({"[2001:db8::1]:1", kB});
  syn(1000);
  CHECK(kernel::slotOf(gate.sent.at(1000)) == 2);
  CHECK(active() == 0);
  forward({"[2001:db8::1]:1"});
  syn(1001);
  CHECK(gate.sent.at(1001) == kernel::refusalMark(kTag));
  CHECK(active() == 0);
}

TEST_CASE_METHOD(OneGate, "FlowSet finds a backend of the client's family however many of the other one are before it",
                 "[proxy]") {
  std::vector<std::string> addresses;
  for (int i = 1; i <= 40; ++i) addresses.push_back("[2001:db8::" + std::to_string(i) + "]:1");
  addresses.emplace_back(kB);
  forward(addresses);
  syn(1000);
  CHECK(kernel::slotOf(gate.sent.at(1000)) == 41);
  CHECK(pool.backends()->back()->active() == 1);
  for (std::size_t i = 0; i < 40; ++i) CHECK(pool.backends()->at(i)->active() == 0);
}

TEST_CASE_METHOD(OneGate, "FlowSet tries the only backend of the client's family again, and none of the other",
                 "[proxy]") {
  forward({"[2001:db8::1]:1", kB});
  syn(1000);
  tell(FlowEvent::What::kNew, entry(1000, TcpState::kSynSent));
  auto& refused = entry(1000, TcpState::kClose);
  refused.mark |= kernel::kResetBit;
  tell(FlowEvent::What::kUpdate, refused);
  gate.entries.clear();
  gate.sent.clear();
  syn(1000);
  CHECK(kernel::slotOf(gate.sent.at(1000)) == 2);
}

TEST_CASE_METHOD(OneGate, "FlowSet leaves aside a backend that the table does not have yet", "[proxy]") {
  forward({kA, kB});
  plan = std::make_shared<FlowPlan>(*plan);
  plan->slots.erase(backend.get());
  flows.use(plan);
  syn(1000);
  CHECK(kernel::slotOf(gate.sent.at(1000)) == 2);
  CHECK(active() == 0);
}

TEST_CASE_METHOD(OneGate, "FlowSet waits a moment for the table to have the only backend, whatever the queue_timeout",
                 "[proxy]") {
  forward({kA});
  pool.settings().queue_timeout_ns = 0;
  const auto complete = plan;
  plan = std::make_shared<FlowPlan>(*plan);
  plan->slots.clear();
  flows.use(plan);
  syn(1000);
  passes(20ms);
  CHECK(gate.sent.empty());
  CHECK(active() == 0);
  SECTION("and sends the client there") {
    flows.use(complete);
    passes(20ms);
    CHECK(kernel::slotOf(gate.sent.at(1000)) == 1);
  }
  SECTION("and refuses the client where it does not come to have it") {
    passes(1s);
    CHECK(gate.sent.at(1000) == kernel::refusalMark(kTag));
  }
}

TEST_CASE_METHOD(OneGate, "FlowSet holds only so many clients that others can still be asked about", "[proxy]") {
  forward({kA}, 1);
  listener->admission().setLimit(10'000);
  pool.settings().queue_timeout_ns = 5'000'000'000;
  for (std::uint16_t port = 1000; port < 1000 + 600; ++port) syn(port);
  CHECK(counters().queued.value() == 512);
  CHECK(gate.dropped.size() == 600 - 512 - 1);
  CHECK(listenerCounters().dropped_queued.value() == gate.dropped.size());
  CHECK(listenerCounters().dropped_full.value() == 0);
  CHECK(flows.size() == 513);
}

TEST_CASE_METHOD(OneGate, "FlowSet resets both sides of a flow that a drain ends", "[proxy]") {
  forward({kA});
  syn(1000);
  connected(1000);
  flows.drain({}, {now(), now()});
  passes(0ms);
  CHECK(gate.forgotten == Sent{1000});
  CHECK(gate.resets == Sent{1000});
  CHECK(listenerCounters().drain_closed.value() == 1);
  CHECK(flows.size() == 0);
}

TEST_CASE_METHOD(OneGate, "FlowSet without flows is done with a drain that is over", "[proxy]") {
  FlowSet without_gate(0, mailbox, clock);
  without_gate.drain({}, {now(), now()});
  REQUIRE(without_gate.nextDue() != 0);
  without_gate.handleDue(now());
  CHECK(without_gate.nextDue() == 0);
}

TEST_CASE_METHOD(OneGate, "FlowSet lets go of those who wait for a backend where clients come in no more", "[proxy]") {
  forward({kA}, 2);
  pool.settings().queue_timeout_ns = 5'000'000'000;
  const bool stops = GENERATE(false, true);
  for (const std::uint16_t port : {1000, 1001, 1002}) syn(port);
  REQUIRE(flows.size() == 3);
  tell(FlowEvent::What::kNew, entry(1000, TcpState::kSynSent));
  entry(1001, TcpState::kEstablished).mark = 0;  // the table was changed first: it went to who listens there
  plan = std::make_shared<FlowPlan>(*plan);
  stops ? void(plan->closed = true) : plan->entrances.clear();
  flows.use(plan);
  CHECK(flows.size() == 1);
  CHECK(active() == 1);
  CHECK(gate.sent.at(1002) == 0);
  CHECK(listenerCounters().drain_closed.value() == (stops ? 2 : 0));
  CHECK(gate.resets.empty());
  syn(1003);
  CHECK(gate.sent.at(1003) == 0);

  // Its client need not come again.
  auto& known = entry(1000, TcpState::kClose);
  known.mark |= kernel::kResetBit;
  tell(FlowEvent::What::kUpdate, known);
  CHECK(flows.size() == 0);
  CHECK(counters().connect_failed.value() == 1);
}

TEST_CASE_METHOD(OneGate,
                 "FlowSet keeps a client whose packet has gone to its backend by a table that has changed since",
                 "[proxy]") {
  forward({kA, kB});
  syn(1000);
  (void)entry(1000, TcpState::kSynSent);  // the event is on its way
  syn(1001);
  plan = std::make_shared<FlowPlan>(*plan);
  plan->closed = true;
  flows.use(plan);
  CHECK(flows.size() == 1);
  connected(1000);
  CHECK(pool.sessions() == 1);
}

TEST_CASE_METHOD(OneGate, "FlowSet lets go of its flows without ending them", "[proxy]") {
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
  CHECK(plan.use_count() == 1);  // so that backends and pools of the plan can go
}

}  // namespace lemonade::proxy
