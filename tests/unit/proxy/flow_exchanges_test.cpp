// SPDX-License-Identifier: MIT
#include "proxy/flow_exchanges.h"

#include "unit/proxy/one_gate.h"

#include <catch2/catch.hpp>

#include <map>
#include <vector>

using namespace lemonade;
using namespace lemonade::proxy;

namespace {

using Exchange = kernel::ExchangeTimes::Exchange;

constexpr std::uint64_t kMs = 1'000'000;

/// What the test says.
struct ScriptedTimes final : kernel::ExchangeTimes {
  int fd() const noexcept override { return -1; }
  void read(const Visit& visit) noexcept override {
    for (const auto& one : std::exchange(answered, {})) visit(one);
  }
  Owed owed(std::uint32_t slot, std::uint64_t) const noexcept override {
    const auto found = owing.find(slot);
    return found != owing.end() ? found->second : Owed{};
  }
  std::uint64_t idOf(const kernel::Tuple& original) const noexcept override { return original.source_port; }
  std::optional<std::uint64_t> waitsSince(std::uint64_t flow, std::uint32_t, std::uint64_t) const noexcept override {
    const auto found = waiting.find(flow);
    return found != waiting.end() ? std::optional(found->second) : std::nullopt;
  }
  void forget(const kernel::Tuple& original, std::uint32_t slot) noexcept override {
    forgotten.push_back({original, slot});
  }

  std::vector<Exchange> answered;
  std::map<std::uint32_t, Owed> owing;
  std::map<std::uint64_t, std::uint64_t> waiting;  // since when, by flow
  std::vector<std::pair<kernel::Tuple, std::uint32_t>> forgotten;
};

struct Timed : OneGate {
  Timed() { forward({kA, kB}); }

  bool look() { return exchanges.look(times, *plan, flows.trials(), now()); }
  /// The first request of that backend so far, and nobody has answered it.
  void asks(std::uint32_t slot, std::uint64_t ago_ns) {
    auto& of = times.owing[slot];
    of = {of.asked + 1, of.waiting + 1, of.age_sum_ns + ago_ns};
  }
  Backend& of(std::uint32_t slot) { return *plan->places.at(slot).backend; }
  lemonade_backend_stats_t& stats(std::uint32_t slot = 1) { return of(slot).stats(); }

  ScriptedTimes times;
  FlowExchanges exchanges{0};
};

}  // namespace

TEST_CASE("Answers that the kernel has timed are counted and learnt from", "[proxy]") {
  Timed timed;
  timed.clock.advance(1s);
  timed.times.answered = {{1, timed.now() - 40 * kMs, timed.now() - 10 * kMs},
                          {1, timed.now() - 35 * kMs, timed.now() - 5 * kMs},
                          {77, 0, 1}};  // of a slot that nobody has
  feedback::setDoubts(timed.of(1), 3);
  timed.look();
  CHECK(feedback::doubts(timed.of(1)) == 0);
  auto& counted = timed.of(1).counters(0);
  CHECK(counted.exchanges.value() == 2);
  CHECK(counted.exchange_time.sumNs() == 60 * kMs);
  CHECK(timed.stats().exchange_ewma_ns == Approx(30e6));
  CHECK(timed.of(1).speed().answered_at_ns == timed.now() - 5 * kMs);
  CHECK(timed.stats().waiting == 0);
  CHECK(timed.of(2).counters(0).exchanges.value() == 0);
  CHECK(timed.stats(2).exchange_ewma_ns == 0);
}

TEST_CASE("What waits in the kernel counts as waiting from the next look on", "[proxy]") {
  Timed timed;
  timed.clock.advance(1s);
  CHECK_FALSE(timed.look());
  timed.asks(1, 30 * kMs);
  timed.asks(1, 10 * kMs);
  CHECK(timed.look());
  CHECK(timed.stats().waiting == 2);
  CHECK(lemonade_mean_wait_ns(&timed.stats(), timed.now()) == 20 * kMs);
  CHECK(timed.of(1).speed().head_since_ns == timed.now() - 20 * kMs);
  CHECK(timed.look());  // nobody has asked since, and they wait on
  CHECK(timed.stats().waiting == 2);
  timed.times.owing[1] = {2, 0, 0};
  timed.times.answered = {{1, timed.now() - 30 * kMs, timed.now()}, {1, timed.now() - 10 * kMs, timed.now()}};
  CHECK(timed.look());
  CHECK(timed.stats().waiting == 0);
  CHECK(timed.stats().waiting_since_sum_us == 0);
  CHECK_FALSE(timed.look());
}

TEST_CASE("A backend that answers nobody owes what it was asked since, until it answers", "[proxy]") {
  Timed timed;
  timed.clock.advance(1s);
  timed.look();
  timed.asks(1, 15 * kMs);
  timed.look();
  CHECK(feedback::unanswered(timed.of(1)).count == 1);
  CHECK(feedback::unanswered(timed.of(1)).since_ns == timed.now() - 15 * kMs);
  timed.asks(1, 0);
  timed.look();
  CHECK(feedback::unanswered(timed.of(1)).count == 2);
  timed.times.answered = {{1, timed.now() - 15 * kMs, timed.now()}};
  timed.times.owing[1].waiting = 1;
  timed.look();
  CHECK(feedback::unanswered(timed.of(1)).count == 0);
}

TEST_CASE("A client that says more before it is answered asks no further time, and waits since then", "[proxy]") {
  Timed timed;
  timed.clock.advance(1s);
  timed.look();
  timed.asks(1, 0);
  timed.look();
  timed.clock.advance(5s);
  timed.times.owing[1].age_sum_ns = 3 * kMs;  // an upload goes on
  timed.look();
  CHECK(feedback::unanswered(timed.of(1)).count == 1);
  CHECK(feedback::unanswered(timed.of(1)).since_ns == timed.now() - 3 * kMs);
  CHECK(timed.of(1).speed().head_since_ns == timed.now() - 3 * kMs);
  CHECK(lemonade_mean_wait_ns(&timed.stats(), timed.now()) == 3 * kMs);
  timed.clock.advance(20ms);
  timed.times.owing[1].age_sum_ns = 23 * kMs;
  timed.look();
  CHECK(feedback::unanswered(timed.of(1)).since_ns == timed.now() - 23 * kMs);
}

TEST_CASE("What the kernel owed before it was looked at first is not asked anew", "[proxy]") {
  Timed timed;
  timed.times.owing[1] = {1000, 0, 0};
  CHECK_FALSE(timed.look());
  CHECK(feedback::unanswered(timed.of(1)).count == 0);
}

TEST_CASE("Flows tell the trial of their backend what comes of them, once", "[proxy]") {
  Timed timed;
  timed.flows.timeBy(&timed.times);
  timed.clock.advance(1s);
  timed.of(1).setSuspected(true);
  std::uint32_t here = 0, elsewhere = 0;
  for (std::uint16_t port = 1; port <= 100; ++port) {
    timed.syn(port);
    timed.connected(port);
    const bool is_here = kernel::slotOf(timed.gate.sent.at(port)) == 1;
    ++(is_here ? here : elsewhere);
    if (is_here)
      timed.times.waiting[port] = timed.now();
    else
      timed.times.answered.push_back({2, timed.now(), timed.now() + kMs, port});
  }
  REQUIRE(here > 5);
  REQUIRE(elsewhere > 40);
  timed.look();
  timed.clock.advance(5s);
  timed.look();
  auto outcomes = timed.of(1).takeOutcomes(timed.now());
  CHECK(outcomes.failed_here == here);
  CHECK(outcomes.answered_elsewhere == elsewhere);
  CHECK(outcomes.answered_here + outcomes.failed_elsewhere == 0);
  timed.look();
  outcomes = timed.of(1).takeOutcomes(timed.now());
  CHECK(outcomes.failed_here + outcomes.answered_elsewhere == 0);
  timed.flows.closeAll(CloseReason::kDrain);
  CHECK(timed.flows.trials().empty());
  timed.flows.timeBy(nullptr);
}

TEST_CASE("A coin sends one client in four to a backend on trial, whoever cannot take the others", "[proxy]") {
  Timed timed;
  timed.listener->admission().setLimit(1'000);
  timed.forward({Timed::kA, "[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3]:1", Timed::kB});
  timed.flows.timeBy(&timed.times);
  timed.of(1).setSuspected(true);
  for (std::uint16_t port = 1; port <= 400; ++port) timed.syn(port);
  CHECK(timed.of(1).active() > 60);
  CHECK(timed.of(1).active() < 140);
  CHECK(timed.of(1).active() + timed.of(5).active() == 400);
  timed.flows.closeAll(CloseReason::kDrain);
  timed.flows.timeBy(nullptr);
}

TEST_CASE("A flow that its backend resets before it has answered has failed its trial", "[proxy]") {
  Timed timed;
  timed.flows.timeBy(&timed.times);
  timed.of(1).setSuspected(true);
  std::uint32_t here = 0;
  for (std::uint16_t port = 1; port <= 40; ++port) {
    timed.syn(port);
    timed.connected(port);
    if (kernel::slotOf(timed.gate.sent.at(port)) != 1) continue;
    ++here;
    auto& reset = timed.entry(port, TcpState::kClose);
    reset.mark |= kernel::kResetBit;
    timed.tell(FlowEvent::What::kUpdate, reset);
  }
  REQUIRE(here > 0);
  CHECK(timed.of(1).takeOutcomes(0).failed_here == here);
  timed.flows.closeAll(CloseReason::kDrain);
  timed.flows.timeBy(nullptr);
}

TEST_CASE("Flows of which nobody times exchanges take part in no trial", "[proxy]") {
  Timed timed;
  timed.of(1).setSuspected(true);
  for (std::uint16_t port = 1; port <= 40; ++port) timed.syn(port);
  CHECK(timed.of(1).active() == 40);
}

TEST_CASE("Who waits is taken back when times end, and when a backend or its number goes", "[proxy]") {
  Timed timed;
  timed.clock.advance(1s);
  const auto before = timed.plan->places;
  const auto nobodyWaits = [&](std::uint32_t slot) {
    const auto& stats = before.at(slot).backend->stats();
    return stats.waiting == 0 && stats.waiting_since_sum_us == 0;
  };
  timed.asks(1, kMs);
  timed.asks(2, kMs);
  timed.look();
  REQUIRE_FALSE(nobodyWaits(1));
  SECTION("times end") {
    timed.exchanges.takeBack();
    CHECK((nobodyWaits(1) && nobodyWaits(2)));
  }
  SECTION("a backend goes") {
    timed.plan->places.erase(1);
    timed.look();
    CHECK((nobodyWaits(1) && !nobodyWaits(2)));
    timed.exchanges.takeBack();
  }
  SECTION("another backend has its number") {
    std::swap(timed.plan->places[1], timed.plan->places[2]);
    timed.times.owing[1] = {7, 0, 0};
    timed.times.owing[2] = {1, 1, kMs};
    timed.look();
    CHECK(before.at(1).backend->stats().waiting == 1);
    CHECK(nobodyWaits(2));
    timed.exchanges.takeBack();
    CHECK(nobodyWaits(1));
  }
}

TEST_CASE("Relays and the kernel tell of what a backend owes side by side", "[proxy]") {
  Timed timed;
  timed.clock.advance(1s);
  feedback::exchangeStarted(timed.of(1), timed.now() - 50 * kMs);
  timed.asks(1, 10 * kMs);
  timed.look();
  CHECK(timed.stats().waiting == 2);
  CHECK(lemonade_mean_wait_ns(&timed.stats(), timed.now()) == 30 * kMs);
  feedback::exchangeAnswered(timed.of(1), timed.now() - 50 * kMs, timed.now());
  CHECK(timed.stats().waiting == 1);
  timed.exchanges.takeBack();
  CHECK(timed.stats().waiting_since_sum_us == 0);
}

TEST_CASE("A flow that is over waits for no answer, however it ended", "[proxy]") {
  Timed timed;
  timed.flows.timeBy(&timed.times);
  const auto forgets = [&](std::uint16_t port, std::size_t times) {
    const auto all = std::exchange(timed.times.forgotten, {});
    return all.size() == times && all.front() == std::pair(OneGate::tuple(port), 1U);
  };
  timed.syn(1);
  timed.tell(FlowEvent::What::kNew, timed.entry(1, TcpState::kSynSent));
  timed.tell(FlowEvent::What::kDestroy, timed.entry(1, TcpState::kSynSent));
  CHECK(timed.times.forgotten.empty());  // it was never connected
  timed.gate.entries.clear();
  timed.syn(2);
  timed.connected(2);
  timed.tell(FlowEvent::What::kDestroy, timed.entry(2, TcpState::kEstablished));
  CHECK(forgets(2, 1));
  timed.syn(3);
  timed.connected(3);
  timed.flows.closeAll(CloseReason::kDrain);
  CHECK(forgets(3, 2));  // the second time once nothing of it gets through any more
  timed.flows.timeBy(nullptr);
}
