// SPDX-License-Identifier: MIT
//
// Picks are written down while somebody looks: what was seen, what was answered and why, within bounds.
#include "balance/pick_recorder.h"

#include "balance/feedback.h"
#include "unit/balance/scripted_pool.h"

#include <string>

namespace lemonade {
namespace {

/// A scripted pool whose picks are written down.
struct RecordedPool : ScriptedPool {
  RecordedPool() { pool.setRecorder(recorder); }

  Picked pickAt(std::uint64_t now_ns, const Tried& tried = {}) {
    lemonade_connection_t connection{};
    connection.struct_size = sizeof(connection);
    connection.now_ns = now_ns;
    connection.client_family = LEMONADE_FAMILY_IPV4;
    connection.client_port = 5'000;
    return pool.pick(connection, tried);
  }

  std::shared_ptr<PickRecorder> recorder = std::make_shared<PickRecorder>(1, 1'000);
};

/// A pool whose strategy says why.
struct ExplainedPool : ScriptedPool {
  ExplainedPool() {
    auto table = scripted.table();
    table.why = [](void*, void* lane, const void* prepared, const lemonade_connection_t*, const lemonade_view_t* view,
                   std::uint32_t index, char* text, std::uint32_t size) noexcept -> std::uint32_t {
      if (says_too_much) return size + 1;
      const std::string said =
          "since " + std::to_string(index) + (lane != nullptr ? " lane" : "") + (prepared == view ? " prepared" : "");
      std::copy(said.begin(), said.end(), text);
      return static_cast<std::uint32_t>(said.size());
    };
    tables.push_back(std::make_unique<lemonade_strategy_t>(table));
    pool.setStrategy(
        Strategy::make(Strategy::Instance(*tables.back(), &scripted, {"explained", "1", "", 9}, nullptr), 1).value());
    pool.publish();
    pool.setRecorder(recorder);
  }
  static inline bool says_too_much = false;
  std::shared_ptr<PickRecorder> recorder = std::make_shared<PickRecorder>(1, ~std::uint64_t{0});
};

}  // namespace

TEST_CASE_METHOD(RecordedPool, "A pick is written down with what it saw before it took a place", "[balance][why]") {
  backends[1]->stats().exchange_ewma_ns = 5e6;
  backends[2]->setHealth(false, "test");
  pool.publish();
  Tried failed;
  failed.add(*backends[0]);
  scripted.pick = [](const auto&, const auto&, const void*) { return std::uint32_t{1}; };
  (void)pickAt(10, failed);
  const auto records = recorder->records();
  REQUIRE(records.size() == 1);
  const auto& pick = records[0];
  CHECK(pick.now_ns == 10);
  CHECK(pick.client_port == 5'000);
  CHECK(pick.answer == 1);
  CHECK(pick.identity == backends[1]->identity());
  CHECK(pick.reason().empty());  // an older strategy does not say
  REQUIRE(pick.backends == 3);
  CHECK(pick.backends_of_all == 3);
  CHECK(pick.seen[0].identity == backends[1]->identity());
  CHECK(pick.seen[0].stats.active == 0);
  CHECK(pick.seen[0].stats.exchange_ewma_ns == 5e6);
  CHECK(pick.seen[1].identity == backends[0]->identity());
  CHECK(pick.seen[1].tried);
  CHECK(pick.seen[1].eligible);
  CHECK(pick.seen[2].identity == backends[2]->identity());
  CHECK_FALSE(pick.seen[2].eligible);
}

TEST_CASE_METHOD(ExplainedPool, "A strategy that says why is asked with what it picked by", "[balance][why]") {
  (void)pick();
  REQUIRE(recorder->records().size() == 1);
  CHECK(recorder->records()[0].reason() == "since 0 lane prepared");
  says_too_much = true;
  (void)pick();
  says_too_much = false;
  CHECK(recorder->records()[1].reason().empty());
}

TEST_CASE_METHOD(RecordedPool, "What the host decides itself says so", "[balance][why]") {
  scripted.pick = [](const auto&, const auto&, const void*) { return std::uint32_t{77}; };
  (void)pickAt(1);
  scripted.pick = [](const auto&, const auto&, const void*) { return LEMONADE_PICK_NONE; };
  (void)pickAt(2);
  const auto records = recorder->records();
  REQUIRE(records.size() == 2);
  CHECK(records[0].reason() == "the host's own choice in the place of the strategy");
  CHECK(records[1].answer == LEMONADE_PICK_NONE);
  CHECK(records[1].identity == 0);
}

TEST_CASE_METHOD(RecordedPool, "A recorder keeps the newest picks and none beyond its time", "[balance][why]") {
  for (std::uint64_t now = 1; now <= 100; ++now) (void)pickAt(now);
  (void)pickAt(1'000);
  const auto records = recorder->records();
  REQUIRE(records.size() == PickRecorder::kMostPicks);
  CHECK(records.front().now_ns == 100 - PickRecorder::kMostPicks + 1);
  CHECK(records.back().now_ns == 100);
}

TEST_CASE("Of a large pool the one that was picked is among those written down", "[balance][why]") {
  RecordedPool fixture;
  View::Backends many;
  for (int i = 0; i < 200; ++i) many.push_back(ScriptedPool::backend(std::to_string(i)));
  fixture.pool.setBackends(many);
  fixture.pool.publish();
  fixture.scripted.pick = [](const auto&, const auto&, const void*) { return std::uint32_t{150}; };
  (void)fixture.pickAt(1);
  const auto pick = fixture.recorder->records().at(0);
  CHECK(pick.backends == PickRecord::kMostBackends);
  CHECK(pick.backends_of_all == 200);
  CHECK(pick.seen[0].identity == many[150]->identity());
}

TEST_CASE_METHOD(RecordedPool, "A recorder that is taken away lives until no worker can use it", "[balance][why]") {
  const std::weak_ptr<PickRecorder> watched = recorder;
  recorder.reset();
  quiescence.setOnline(0);
  pool.setRecorder(nullptr);
  (void)reclaim();
  CHECK_FALSE(watched.expired());
  quiescence.announce(0);
  (void)reclaim();
  CHECK(watched.expired());
  (void)pickAt(1);
}

}  // namespace lemonade
