// SPDX-License-Identifier: MIT
//
// One sink that takes its time: what waits for it, for how long, and what is said of it. The sink waits in each call
// until the test opens its gate.
#include "metrics/sink.h"

#include "unit/metrics/support.h"

#include <atomic>
#include <future>
#include <thread>

using namespace lemonade;
using namespace lemonade::metrics;
using namespace lemonade::metrics::test;

namespace {

constexpr Duration kFar = std::chrono::hours(1);

/// What the functions of the sink do, and what they were called with.
struct Gate : Door {
  int in_call = 0;
  int flushed = 0;
  int events = 0;

  template <class Done>
  void pass(Done done) {
    std::unique_lock lock(mutex);
    ++in_call;
    changed.notify_all();
    changed.wait(lock, [&] { return open; });
    --in_call;
    done();
    changed.notify_all();
  }
};

Gate& gate(void* self) { return *static_cast<Gate*>(self); }

constexpr lemonade_metrics_sink_t kSlow = {
    .struct_size = sizeof(lemonade_metrics_sink_t),
    .reserved = 0,
    .create = nullptr,
    .destroy = [](void*) noexcept {},
    .flush = [](void* self, const lemonade_snapshot_t*, std::uint64_t,
                lemonade_error_t*) noexcept -> lemonade_status_t {
      gate(self).pass([&] { ++gate(self).flushed; });
      return LEMONADE_OK;
    },
    .content_type = [](void*, lemonade_str_t accept) noexcept { return accept; },
    .render = [](void* self, const lemonade_snapshot_t*, lemonade_str_t, const lemonade_writer_t* writer,
                 lemonade_error_t*) noexcept -> lemonade_status_t {
      gate(self).pass([] {});
      return writer->write(writer->context, "x 1\n", 4);
    },
    .health_event = [](void* self,
                       const lemonade_health_event_t*) noexcept { gate(self).pass([&] { ++gate(self).events; }); },
    .session_records = nullptr,
    .reopen = nullptr};

std::shared_ptr<const Snapshot> snapshotOf(int series) {
  SnapshotBuilder builder;
  auto family = builder.gauge("many", "Many.");
  for (int i = 0; i < series; ++i) family.add(builder.labels({{"i", std::to_string(i)}}), i);
  return builder.build(0, 0);
}

/// A sink at work, with a call under way that a snapshot of one series began.
struct Bench {
  explicit Bench(const SinkLimits& limits) : sink(std::make_shared<Sink>(handle(), limits, counters, undertaker)) {
    sink->start();
  }
  ~Bench() {
    gate->setOpen(true);
    sink->close(0);
    CHECK(sink->awaitEnd(nowNs() + 10'000'000'000));
    CHECK(sink->release());
  }
  SinkHandle handle() const {
    return std::make_shared<plugin::Instance<lemonade_metrics_sink_t>>(
        kSlow, gate.get(), plugin::InstanceInfo{.id = "slow", .version = "1.0.0", .file = ""}, gate);
  }
  void occupy() {
    sink->push(snapshotOf(1));
    REQUIRE(gate->eventually([&] { return gate->in_call == 1; }));
  }
  /// Looks until that holds, as the balancer does now and then.
  bool looksUntil(const std::function<bool()>& reached) {
    const auto limit = nowNs() + 10'000'000'000;
    while (!reached() && nowNs() < limit) {
      sink->look();
      std::this_thread::yield();
    }
    return reached();
  }

  std::shared_ptr<Gate> gate = std::make_shared<Gate>();
  std::shared_ptr<SinkCounters> counters = std::make_shared<SinkCounters>();
  std::shared_ptr<Undertaker> undertaker = std::make_shared<Undertaker>(nullptr);
  std::shared_ptr<Sink> sink;
};

}  // namespace

TEST_CASE("Snapshots for a slow sink hold at most metrics_cap series and the oldest go first", "[metrics][sink]") {
  Bench b({.interval = kFar, .metrics_cap = 250});
  b.occupy();
  for (int i = 0; i < 5; ++i) b.sink->push(snapshotOf(100));
  CHECK(b.counters->dropped_series == 300);
  b.gate->setOpen(true);
  CHECK(b.gate->eventually([&] { return b.gate->flushed == 3; }));
  CHECK(b.counters->overruns == 0);
}

TEST_CASE("A sink that overruns its deadline is counted once and gets no snapshot until it is back",
          "[metrics][sink]") {
  Bench b({.interval = 20ms, .age_cap = 1'000'000});
  b.occupy();
  b.sink->push(snapshotOf(3));
  REQUIRE(b.looksUntil([&] { return b.counters->overruns == 1; }));
  CHECK(b.counters->dropped_series == 3);
  b.sink->push(snapshotOf(5));
  b.sink->push(HealthEvent{.id = "waits"});
  b.sink->look();
  CHECK(b.counters->dropped_series == 8);
  CHECK(b.counters->overruns == 1);
  b.gate->setOpen(true);
  REQUIRE(b.gate->eventually([&] { return b.gate->events == 1; }));
  CHECK(b.gate->flushed == 1);
  b.sink->push(snapshotOf(7));
  CHECK(b.gate->eventually([&] { return b.gate->flushed == 2; }));
  CHECK(b.counters->dropped_series == 8);
}

TEST_CASE("An overrun that nobody looked at meanwhile is counted when the sink is back", "[metrics][sink]") {
  Bench b({.interval = 1ms});
  b.occupy();
  const auto began = nowNs();
  while (nowNs() < began + 5'000'000) std::this_thread::yield();
  CHECK(b.counters->overruns == 0);
  b.gate->setOpen(true);
  const auto limit = nowNs() + 10'000'000'000;
  while (b.counters->overruns == 0 && nowNs() < limit) std::this_thread::yield();
  CHECK(b.counters->overruns == 1);
}

TEST_CASE("What waits for a sink longer than age_cap intervals is dropped", "[metrics][sink]") {
  Bench b({.interval = 5ms, .age_cap = 2});
  b.occupy();
  b.sink->push(HealthEvent{.id = "old"});
  CHECK(b.looksUntil([&] { return b.counters->dropped_health_events == 1; }));
  b.gate->setOpen(true);
  REQUIRE(b.gate->eventually([&] { return b.gate->flushed == 1; }));
  CHECK(b.gate->events == 0);
}

TEST_CASE("Readers are refused behind one that the sink keeps waiting", "[metrics][sink]") {
  Bench b({.interval = kFar, .render_limit = 10ms});
  auto first = std::async(std::launch::async, [&] { return b.sink->render(*snapshotOf(1), "").ok(); });
  REQUIRE(b.gate->eventually([&] { return b.gate->in_call == 1; }));
  const auto limit = nowNs() + 10'000'000'000;
  while (b.sink->answers() && nowNs() < limit) std::this_thread::yield();
  const auto refused = b.sink->render(*snapshotOf(1), "");
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().message.find("metrics sink slow hangs: an earlier request has waited for") == 0);
  b.gate->setOpen(true);
  CHECK(first.get());
  CHECK(b.sink->answers());
  CHECK(b.sink->render(*snapshotOf(1), "").ok());
}
