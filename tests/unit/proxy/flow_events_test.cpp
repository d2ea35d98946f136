// SPDX-License-Identifier: MIT
//
// What the events of conntrack come to.
#include "unit/proxy/one_gate.h"

#include <catch2/catch.hpp>

namespace lemonade::proxy {

TEST_CASE_METHOD(OneGate, "FlowSet measures the connect and counts the session when the backend answers", "[proxy]") {
  forward({kA});
  syn(1000);
  clock.advance(3ms);
  connected(1000);
  CHECK(counted().sessions.value() == 1);
  CHECK(backend->stats().connect_ewma_ns == 3e6);
  CHECK(active() == 1);
}

TEST_CASE_METHOD(OneGate, "FlowSet gives the place back and counts bytes when both sides have ended", "[proxy]") {
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

TEST_CASE_METHOD(OneGate, "FlowSet tells who has sent a reset by the mark of the entry", "[proxy]") {
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

TEST_CASE_METHOD(OneGate, "FlowSet takes a reset of the backend before the handshake for a refusal", "[proxy]") {
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

TEST_CASE_METHOD(OneGate, "FlowSet keeps a refusal from a client, which gets another backend when it comes again",
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

TEST_CASE_METHOD(OneGate, "FlowSet refuses a client that nobody has answered as often as retries allow", "[proxy]") {
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

TEST_CASE_METHOD(OneGate, "FlowSet blames no backend for a client that resets before it is answered", "[proxy]") {
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

TEST_CASE_METHOD(OneGate, "FlowSet takes in a flow that nobody was asked about, once its handshake is complete",
                 "[proxy]") {
  forward({kA});
  tell(FlowEvent::What::kNew, entry(1000, TcpState::kSynSent));
  CHECK(flows.size() == 0);  // of a flood that passes us, say
  CHECK(listenerCounters().unasked.value() == 0);
  connected(1000);
  CHECK(active() == 1);
  CHECK(listener->admission().taken() == 1);
  CHECK(counters().clients.value() == 1);
  CHECK(listenerCounters().unasked.value() == 1);
  CHECK(counted().sessions.value() == 1);
  tell(FlowEvent::What::kUpdate, entry(1000, TcpState::kTimeWait));
  CHECK(flows.size() == 0);
}

TEST_CASE_METHOD(OneGate, "FlowSet takes in no flow to a backend whose number has become another one's", "[proxy]") {
  forward({kA, kB});
  auto& known = entry(1000, TcpState::kEstablished);
  known.seen_reply = known.assured = true;
  known.reply = kernel::Tuple::between(*Address::parse("203.0.113.9:80"), *Address::parse("192.0.2.80:1000"));
  tell(FlowEvent::What::kUpdate, known);
  CHECK(flows.size() == 0);
  CHECK(active() == 0);
}

TEST_CASE_METHOD(OneGate, "FlowSet takes in nothing of which only an old event tells", "[proxy]") {
  forward({kA});
  auto& known = entry(1000, TcpState::kEstablished);
  known.assured = true;
  const auto old = known;
  gate.entries.clear();
  tell(FlowEvent::What::kUpdate, old);
  CHECK(flows.size() == 0);
}

TEST_CASE_METHOD(OneGate, "FlowSet asks nothing of a backend that a held flow does not have", "[proxy]") {
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

TEST_CASE_METHOD(OneGate, "FlowSet lets go of a flow that the table has sent elsewhere", "[proxy]") {
  forward({kA, kB});
  syn(1000);
  auto& known = entry(1000, TcpState::kSynSent);
  known.mark = kernel::backendMark(kTag, 2, false);  // by weights, while the answer was on its way
  tell(FlowEvent::What::kNew, known);
  CHECK(active() == 0);
  CHECK(flows.size() == 0);
}

TEST_CASE_METHOD(OneGate, "FlowSet blames no backend for a packet that came no further than this machine", "[proxy]") {
  forward({kA});
  pool.settings().connect_timeout_ns = 1'000'000'000;
  syn(1000);
  passes(1050ms);
  CHECK(flows.size() == 0);
  CHECK(counted().connect_timeouts.value() == 0);
  CHECK(counters().abandoned.value() == 1);
}

TEST_CASE_METHOD(OneGate, "FlowSet keeps a connection that was answered in time, though it hears so late", "[proxy]") {
  forward({kA});
  pool.settings().connect_timeout_ns = 1'000'000'000;
  syn(1000);
  auto& known = entry(1000, TcpState::kEstablished);
  known.seen_reply = known.assured = true;
  passes(2s);  // it did not move for so long
  CHECK(gate.forgotten.empty());
  CHECK(counted().connect_timeouts.value() == 0);
  CHECK(counted().sessions.value() == 1);
  CHECK(active() == 1);
}

TEST_CASE_METHOD(OneGate, "FlowSet leaves alone a connection that a relay got meanwhile", "[proxy]") {
  forward({kA});
  pool.settings().connect_timeout_ns = 1'000'000'000;
  syn(1000);
  entry(1000, TcpState::kEstablished).mark = 0;
  passes(1050ms);
  CHECK(flows.size() == 0);
  CHECK(gate.forgotten.empty());
  CHECK(counted().connect_timeouts.value() == 0);
}

TEST_CASE_METHOD(OneGate, "FlowSet adopts what the process before has forwarded, and counts it once", "[proxy]") {
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
  CHECK(listenerCounters().unasked.value() == 0);  // nobody knows who was asked then
  CHECK(counted().connect_time.sum().count == 0);
  entry(1000, TcpState::kTimeWait).bytes_in = 150;
  tell(FlowEvent::What::kUpdate, entry(1000, TcpState::kTimeWait));
  CHECK(active() == 0);
}

TEST_CASE_METHOD(OneGate, "FlowSet counts what adopted flows move while they live, though no other client comes",
                 "[proxy]") {
  forward({kA});
  auto& known = entry(1000, TcpState::kEstablished);
  known.seen_reply = known.assured = known.counted = true;
  known.bytes_in = 100;
  flows.adopt(false);
  entry(1000, TcpState::kEstablished).bytes_in = 150;
  CHECK(flows.nextDue() == now() + 15'000'000'000);
  passes(15s);
  CHECK(counted().bytes_in.value() == 150);
}

TEST_CASE_METHOD(OneGate, "FlowSet finds out after a loss which flows are over", "[proxy]") {
  forward({kA});
  for (const std::uint16_t port : {1000, 1001}) {
    syn(port);
    connected(port);
  }
  gate.entries.erase(gate.entries.begin());
  flows.handleLoss();
  CHECK(mailbox.counters.event_losses.value() == 1);
  CHECK(flows.size() == 1);
  CHECK(active() == 1);
}

TEST_CASE_METHOD(OneGate, "FlowSet asks once what all flows have moved that are over by the same events", "[proxy]") {
  forward({kA});
  for (const std::uint16_t port : {1000, 1001}) {
    syn(port);
    connected(port);
  }
  for (const std::uint16_t port : {1000, 1001}) {
    entry(port, TcpState::kTimeWait).counted = true;
    entry(port, TcpState::kTimeWait).bytes_in = port;
    flows.handleEvent({FlowEvent::What::kUpdate, entry(port, TcpState::kTimeWait)});
  }
  SECTION("and no more comes") { flows.closeEnding(); }
  SECTION("and one of them is heard of again") {
    flows.handleEvent({FlowEvent::What::kDestroy, entry(1001, TcpState::kTimeWait)});
  }
  CHECK(gate.questions == 1);
  CHECK(flows.size() == 0);
  CHECK(counted().bytes_in.value() == 2001);
}

TEST_CASE_METHOD(OneGate, "FlowSet resets both sides of a flow that was idle for too long", "[proxy]") {
  forward({kA});
  syn(1000);
  connected(1000);
  const auto gone = entry(1000, TcpState::kEstablished);
  gate.entries.clear();
  tell(FlowEvent::What::kDestroy, gone);
  CHECK(gate.resets == Sent{1000});
  CHECK(counted().idle_timeouts.value() == 1);
}

TEST_CASE_METHOD(OneGate,
                 "FlowSet gives a flow whose backend is done half_close_timeout, and one whose client is done none",
                 "[proxy]") {
  forward({kA});
  listener->settings().half_close_timeout_ns = 2'500'000'000;
  for (const std::uint16_t port : {1000, 1001, 1002}) {
    syn(port);
    connected(port);
    entry(port, TcpState::kCloseWait).seconds_left = 3'600;
  }
  entry(1000, TcpState::kCloseWait).backend_finished = true;
  entry(1002, TcpState::kLastAck).backend_finished = true;
  passes(2499ms);
  CHECK(gate.hastened.empty());
  passes(1ms);
  CHECK(gate.hastened == std::map<std::uint32_t, std::uint32_t>{{1000, 3}});
  gate.hastened.clear();
  entry(1000, TcpState::kCloseWait).seconds_left = 1;
  passes(3s);
  CHECK(gate.hastened.empty());
  const auto gone = entry(1000, TcpState::kCloseWait);
  gate.entries.erase(gate.entries.begin());
  tell(FlowEvent::What::kDestroy, gone);
  CHECK(gate.resets == Sent{1000});
  CHECK(counted().idle_timeouts.value() == 0);
  CHECK(flows.size() == 2);
}

TEST_CASE_METHOD(OneGate, "FlowSet leaves a flow whose backend is done alone where there is no half_close_timeout",
                 "[proxy]") {
  forward({kA});
  listener->settings().half_close_timeout_ns = 0;
  second->settings().half_close_timeout_ns = 0;
  syn(1000);
  connected(1000);
  auto& known = entry(1000, TcpState::kCloseWait);
  known.backend_finished = true;
  known.seconds_left = 3'600;
  passes(15s);
  CHECK(gate.hastened.empty());
}

TEST_CASE_METHOD(OneGate, "FlowSet resets both sides of a flow of whose end it hears because it has looked",
                 "[proxy]") {
  forward({kA});
  syn(1000);
  connected(1000);
  passes(15s);
  const auto gone = entry(1000, TcpState::kEstablished);
  gate.entries.clear();
  passes(15s);
  tell(FlowEvent::What::kDestroy, gone);
  CHECK(gate.resets == Sent{1000});
  CHECK(counted().idle_timeouts.value() == 1);
  CHECK(flows.size() == 0);
}

TEST_CASE_METHOD(OneGate, "FlowSet lets go of a flow that two looks have not found", "[proxy]") {
  forward({kA});
  syn(1000);
  connected(1000);
  passes(15s);
  gate.entries.clear();
  passes(15s);
  CHECK(flows.size() == 1);
  passes(15s);
  CHECK(flows.size() == 0);
}

TEST_CASE_METHOD(OneGate, "FlowSet takes a client that comes again from the same port for another one", "[proxy]") {
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

}  // namespace lemonade::proxy
