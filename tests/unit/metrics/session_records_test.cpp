// SPDX-License-Identifier: MIT
//
// Records of sessions on their way from the lanes of workers to sinks that a test makes, and files opened anew.
#include "metrics/publisher.h"

#include "unit/metrics/support.h"

#include <future>
#include <memory>
#include <thread>

namespace lemonade::metrics::test {
namespace {

constexpr Duration kNever = 24h;

/// A sink that keeps what it is told, and that waits in each call while its gate is shut.
struct Keeper : Door {
  Keeper() { open = true; }
  bool failing = false;
  bool waiting = false;
  std::vector<std::string> clients;
  std::uint64_t dropped = 0;
  std::uint64_t started_unix_ns = 0;
  int reopened = 0;

  bool hasAll(std::size_t count) {
    return eventually([&] { return clients.size() + dropped >= count; });
  }
};

Keeper& keeper(void* self) { return *static_cast<Keeper*>(self); }

lemonade_status_t sessionRecords(void* self, const lemonade_session_batch_t* batch, std::uint64_t deadline_ns,
                                 lemonade_error_t* error) noexcept {
  auto& one = keeper(self);
  std::unique_lock lock(one.mutex);
  one.waiting = true;
  one.changed.notify_all();
  one.changed.wait(lock, [&] { return one.open; });
  one.waiting = false;
  for (std::uint32_t i = 0; i < batch->record_count; ++i) {
    const auto* record = lemonade_batch_record(batch, i);
    one.clients.push_back(text(record->client));
    one.started_unix_ns = record->started_unix_ns;
  }
  one.dropped += batch->dropped;
  one.changed.notify_all();
  if (!one.failing && deadline_ns != 0) return LEMONADE_OK;
  return sdk::detail::fail(error, LEMONADE_ERROR_FAILED, "", "as told");
}

lemonade_status_t reopen(void* self, lemonade_error_t* error) noexcept {
  auto& one = keeper(self);
  const std::lock_guard lock(one.mutex);
  ++one.reopened;
  return one.failing ? sdk::detail::fail(error, LEMONADE_ERROR_FAILED, "", "as told") : LEMONADE_OK;
}

lemonade_metrics_sink_t table() {
  lemonade_metrics_sink_t table{};
  table.struct_size = sizeof(table);
  table.destroy = [](void*) noexcept {};
  table.session_records = sessionRecords;
  table.reopen = reopen;
  return table;
}

/// A table as a plugin of 1.0 has it: what is behind its end must not be read.
lemonade_metrics_sink_t oldTable() {
  auto old = table();
  old.struct_size = LEMONADE_SIZE_TO(lemonade_metrics_sink_t, health_event);
  old.flush = [](void*, const lemonade_snapshot_t*, std::uint64_t, lemonade_error_t*) noexcept {
    return lemonade_status_t{LEMONADE_OK};
  };
  return old;
}

struct Fixture {
  ~Fixture() { publisher.stop(10s); }

  SinkHandle make(const std::shared_ptr<Keeper>& keeper, const lemonade_metrics_sink_t& of, const std::string& id) {
    return std::make_shared<plugin::Instance<lemonade_metrics_sink_t>>(
        of, keeper.get(), plugin::InstanceInfo{.id = id, .version = "1.0.0", .file = ""}, keeper);
  }
  /// What a worker does at the end of a session.
  void end(int count, std::uint16_t from = 1) {
    for (int i = 0; i < count; ++i) {
      if (!lane.wanted()) continue;
      Address client = *Address::parse("203.0.113.7:1");
      client.setPort(static_cast<std::uint16_t>(from + i));
      SessionRecord record;
      record.client = &client;
      record.numbers.started_ns = nowNs();
      lane.put(record);
    }
  }
  double dropped(const std::string& id) { return static_cast<double>(publisher.losses()[id].dropped_records); }

  static inline const lemonade_metrics_sink_t kTable = table();
  static inline const lemonade_metrics_sink_t kOldTable = oldTable();

  SessionRecordLane lane;
  bool wanted = false;
  std::shared_ptr<Keeper> kept = std::make_shared<Keeper>();
  SinkHandle sink = make(kept, kTable, "keeper");
  SinkLimits limits{.interval = kNever};
  Publisher publisher{
      {},
      [](std::function<void()> task) { task(); },
      nowNs(),
      {[this](bool want) { lane.want(want); }, [this](const RecordSource::Visit& visit) { visit(lane); }}};
};

}  // namespace

TEST_CASE_METHOD(Fixture, "Publisher hands records of sessions to the sinks that take them", "[metrics][records]") {
  publisher.configure(limits, {sink});
  const auto before = unixNs();
  end(3);
  REQUIRE(kept->hasAll(3));
  CHECK(kept->clients == std::vector<std::string>{"203.0.113.7:1", "203.0.113.7:2", "203.0.113.7:3"});
  CHECK(kept->started_unix_ns >= before - 1'000'000);
  CHECK(kept->started_unix_ns <= unixNs() + 1'000'000);
}

TEST_CASE_METHOD(Fixture, "Publisher has records made only while a sink takes them", "[metrics][records]") {
  CHECK_FALSE(lane.wanted());
  publisher.configure(limits, {make(std::make_shared<Keeper>(), kOldTable, "old")});
  CHECK_FALSE(lane.wanted());
  publisher.configure(limits, {sink});
  CHECK(lane.wanted());
  publisher.configure(limits, {});
  CHECK_FALSE(lane.wanted());
  publisher.configure(limits, {sink});
  publisher.stop(10s);
  CHECK_FALSE(lane.wanted());
}

TEST_CASE_METHOD(Fixture, "Publisher gives a sink no records of before it was there", "[metrics][records]") {
  lane.want(true);
  end(2);
  publisher.configure(limits, {sink});
  end(1, 100);
  REQUIRE(kept->hasAll(1));
  CHECK(kept->clients == std::vector<std::string>{"203.0.113.7:100"});
}

TEST_CASE_METHOD(Fixture, "Publisher loses no record when sinks are replaced", "[metrics][records]") {
  auto last = std::make_shared<Keeper>();
  std::vector<std::shared_ptr<Keeper>> keepers{kept};
  publisher.configure(limits, {sink});
  for (int i = 0; i < 200; ++i) {
    end(5, static_cast<std::uint16_t>(1 + i * 5));
    keepers.push_back(std::make_shared<Keeper>());
    publisher.configure(limits, {make(keepers.back(), kTable, "keeper")});
  }
  publisher.stop(10s);
  std::size_t records = 0;
  for (const auto& one : keepers) {
    REQUIRE(one->eventually([] { return true; }));
    records += one->clients.size();
  }
  CHECK(records == 1'000);
}

TEST_CASE_METHOD(Fixture, "Publisher delivers at a stop what ended right before it", "[metrics][records]") {
  publisher.configure(limits, {sink});
  end(100);
  CHECK(publisher.stop(10s));
  CHECK(kept->clients.size() == 100);
}

TEST_CASE_METHOD(Fixture, "Publisher drops and counts the records for which a sink that hangs has no room",
                 "[metrics][records]") {
  auto other = std::make_shared<Keeper>();
  limits.records_cap = 1'500;
  kept->setOpen(false);
  publisher.configure(limits, {sink, make(other, kTable, "other")});
  end(1);
  REQUIRE(kept->eventually([&] { return kept->waiting; }));
  for (int i = 0; i < 5; ++i) {
    end(1'000);
    REQUIRE(other->hasAll(1 + 1'000 * static_cast<std::size_t>(i + 1)));
  }
  const double lost = dropped("keeper");
  CHECK(lost >= 3'500);  // whole batches of at most a thousand
  CHECK(lost <= 4'000);
  CHECK(dropped("other") == 0);
  kept->setOpen(true);
  REQUIRE(kept->hasAll(5'001));
  CHECK(static_cast<double>(kept->dropped) == lost);
  CHECK(kept->clients.size() + kept->dropped == 5'001);
  CHECK(kept->clients.back() == "203.0.113.7:1000");
}

TEST_CASE_METHOD(Fixture, "Publisher counts for each sink what did not fit into the lane of a worker",
                 "[metrics][records]") {
  publisher.configure(limits, {sink});
  while (lane.dropped() == 0) end(50);
  const auto lost = [&] { return dropped("keeper") >= 1; };
  REQUIRE(kept->eventually([&] { return kept->dropped >= 1; }));
  CHECK(lost());
}

TEST_CASE_METHOD(Fixture, "Publisher counts what a sink did not take in time at a stop", "[metrics][records]") {
  kept->setOpen(false);
  publisher.configure(limits, {sink});
  end(1);
  REQUIRE(kept->eventually([&] { return kept->waiting; }));
  end(10);
  std::promise<bool> stopped;
  std::thread stopping([&] { stopped.set_value(publisher.stop(50ms)); });
  CHECK_FALSE(stopped.get_future().get());
  stopping.join();
  kept->setOpen(true);
  REQUIRE(kept->eventually([&] { return kept->clients.size() == 1; }));
}

TEST_CASE_METHOD(Fixture, "Publisher counts batches that a sink fails to take", "[metrics][records]") {
  kept->failing = true;
  publisher.configure(limits, {sink});
  end(1);
  REQUIRE(kept->hasAll(1));
  publisher.stop(10s);
  CHECK(publisher.losses()["keeper"].errors == 1);
}

TEST_CASE_METHOD(Fixture, "Publisher has sinks open their files anew, and tells who could not", "[metrics][records]") {
  auto bad = std::make_shared<Keeper>();
  bad->failing = true;
  publisher.configure(limits, {sink, make(bad, kTable, "bad"), make(std::make_shared<Keeper>(), kOldTable, "old")});
  std::promise<Reopening::Outcome> outcome;
  publisher.reopen([&](auto one) { outcome.set_value(std::move(one)); });
  const auto got = outcome.get_future().get();
  CHECK(got.reopened == 1);
  CHECK(got.problems == std::vector<std::string>{"metrics sink bad: as told"});
  CHECK(kept->reopened == 1);
}

TEST_CASE_METHOD(Fixture, "Publisher answers at once where no sink has a file", "[metrics][records]") {
  bool answered = false;
  publisher.reopen([&](const auto& outcome) { answered = outcome.reopened == 0 && outcome.problems.empty(); });
  CHECK(answered);
}

}  // namespace lemonade::metrics::test
