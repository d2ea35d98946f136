// SPDX-License-Identifier: MIT
//
// How flows pass from one process to the next.
#include "unit/proxy/one_gate.h"

#include <catch2/catch.hpp>

namespace lemonade::proxy {

TEST_CASE_METHOD(OneGate, "FlowSet leaves to the process before what that was asked about, until it gives way",
                 "[proxy]") {
  forward({kA});
  flows.adopt(true);
  auto& known = entry(1000, TcpState::kEstablished);
  known.seen_reply = known.assured = known.counted = true;
  known.bytes_in = 100;
  known.start_unix_ns = unixNs();
  tell(FlowEvent::What::kUpdate, known);
  CHECK(active() == 1);
  SECTION("which counts its end") {
    known.bytes_in = 150;
    tell(FlowEvent::What::kUpdate, entry(1000, TcpState::kTimeWait));
    CHECK(counted().bytes_in.value() == 0);
    CHECK(counted().duration.sum().count == 0);
  }
  SECTION("and counts it from there on") {
    known.bytes_in = 150;
    flows.settle();
    CHECK(counted().bytes_in.value() == 0);
    known.bytes_in = 170;
    tell(FlowEvent::What::kUpdate, entry(1000, TcpState::kTimeWait));
    CHECK(counted().bytes_in.value() == 20);
    CHECK(counted().duration.sum().count == 1);
  }
  CHECK(flows.size() == 0);
  CHECK(counters().clients.value() == 0);
  CHECK(counted().sessions.value() == 0);
}

TEST_CASE_METHOD(OneGate, "FlowSet tells by its age who has counted a flow that it hears of", "[proxy]") {
  forward({kA});
  flows.adopt(true);
  flows.settle();
  auto& before = entry(1000, TcpState::kEstablished);
  before.seen_reply = before.assured = before.counted = true;
  before.bytes_in = 100;
  before.start_unix_ns = unixNs() - 1'000'000'000;
  auto after = before;
  tell(FlowEvent::What::kUpdate, before);  // its backend has answered only now
  CHECK(counted().sessions.value() == 0);
  after.original = tuple(1001);
  after.id = 1001;
  after.start_unix_ns = unixNs() + 1'000'000'000;
  gate.entries.push_back(after);
  tell(FlowEvent::What::kUpdate, after);  // by weights
  CHECK(counted().sessions.value() == 1);
  CHECK(counters().clients.value() == 1);
  tell(FlowEvent::What::kUpdate, entry(1000, TcpState::kTimeWait));
  CHECK(counted().bytes_in.value() == 100);  // the one before has let go of it before it was connected
}

TEST_CASE_METHOD(OneGate, "FlowSet that yields takes in nothing that it was not asked about", "[proxy]") {
  forward({kA});
  flows.yield(true);
  auto& known = entry(1000, TcpState::kEstablished);
  known.seen_reply = known.assured = true;
  tell(FlowEvent::What::kUpdate, known);
  flows.handleLoss();
  CHECK(flows.size() == 0);
  syn(1001);
  connected(1001);
  CHECK(counted().sessions.value() == 1);
  flows.yield(false);  // nobody came to follow
  CHECK(flows.size() == 2);
  CHECK(counted().sessions.value() == 2);
}

TEST_CASE_METHOD(OneGate, "FlowSet that gives way counts what there is, and stays with what is about to connect",
                 "[proxy]") {
  forward({kA}, 3);
  pool.settings().queue_timeout_ns = 5'000'000'000;
  pool.settings().connect_timeout_ns = 1'000'000'000;
  syn(1000);
  connected(1000);
  auto& moved = entry(1000, TcpState::kEstablished);
  moved.counted = true;
  moved.bytes_in = 700;
  syn(1001);
  tell(FlowEvent::What::kNew, entry(1001, TcpState::kSynSent));
  syn(1002);
  tell(FlowEvent::What::kNew, entry(1002, TcpState::kSynSent));
  syn(1003);  // there is no place for it
  flows.giveWay();
  CHECK(counted().bytes_in.value() == 700);
  CHECK(counted().duration.sum().count == 0);
  CHECK(flows.size() == 2);
  CHECK(gate.sent.count(1003) == 0);  // the kernel asks about it anew
  CHECK(listener->admission().taken() == 2);
  flows.drain({}, {now(), now()});
  passes(0ms);
  CHECK(flows.size() == 2);
  connected(1001);
  CHECK(counted().sessions.value() == 2);
  CHECK(flows.size() == 1);
  passes(1050ms);
  CHECK(counted().connect_timeouts.value() == 1);
  CHECK(gate.forgotten == Sent{1002});
  CHECK(flows.size() == 0);
  CHECK(gate.resets.empty());
}

TEST_CASE_METHOD(OneGate, "FlowSet that has given way ends nothing", "[proxy]") {
  forward({kA});
  syn(1000);
  tell(FlowEvent::What::kNew, entry(1000, TcpState::kSynSent));
  flows.giveWay();
  flows.closeAll(CloseReason::kDrain);
  CHECK(flows.size() == 0);
  CHECK(active() == 0);
  CHECK(gate.forgotten.empty());
}

}  // namespace lemonade::proxy
