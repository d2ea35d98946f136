// SPDX-License-Identifier: MIT
//
// The publisher in front of sinks made from a table of the test's own. What a sink does is up to a gate the test holds,
// so nothing here depends on how fast a thread is.
#include "metrics/publisher.h"

#include "unit/metrics/support.h"

#include <atomic>
#include <future>

using namespace lemonade;
using namespace lemonade::metrics;
using namespace lemonade::metrics::test;

namespace {

/// A sink that counts, and that waits in each call while its gate is shut. Outlives the instance's thread because the
/// instance keeps it.
struct Probe {
  std::mutex mutex;
  std::condition_variable changed;
  bool open = true;
  bool failing = false;
  int in_call = 0;
  int flushed = 0;
  std::size_t last_families = 0;
  std::vector<std::string> events;
  bool destroyed = false;
  std::thread::id destroyed_on;

  template <class Condition>
  bool eventually(Condition condition, Duration limit = 10s) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, limit, condition);
  }
  void set(bool Probe::*what, bool value) {
    const std::lock_guard lock(mutex);
    this->*what = value;
    changed.notify_all();
  }
  /// Waits at the gate as the plugin; then runs done under the lock.
  template <class Done>
  void call(Done done) {
    std::unique_lock lock(mutex);
    ++in_call;
    changed.notify_all();
    changed.wait(lock, [&] { return open; });
    done();
    --in_call;
    changed.notify_all();
  }
};

Probe& probe(void* self) { return *static_cast<Probe*>(self); }

lemonade_status_t flush(void* self, const lemonade_snapshot_t* snapshot, std::uint64_t deadline_ns,
                        lemonade_error_t* error) noexcept {
  bool failing = false;
  probe(self).call([&] {
    ++probe(self).flushed;
    probe(self).last_families = snapshot->family_count;
    failing = probe(self).failing || deadline_ns == 0;
  });
  return failing ? sdk::detail::fail(error, LEMONADE_ERROR_FAILED, "", "as told") : LEMONADE_OK;
}

void healthEvent(void* self, const lemonade_health_event_t* event) noexcept {
  probe(self).call(
      [&] { probe(self).events.push_back(text(event->id) + (event->state == LEMONADE_HEALTH_UP ? "+" : "-")); });
}

lemonade_str_t contentType(void*, lemonade_str_t accept) noexcept { return accept; }

lemonade_status_t render(void* self, const lemonade_snapshot_t* snapshot, lemonade_str_t,
                         const lemonade_writer_t* writer, lemonade_error_t* error) noexcept {
  bool failing = false;
  probe(self).call([&] { failing = probe(self).failing; });
  const std::string body = "families " + std::to_string(snapshot->family_count);
  if (!failing) return writer->write(writer->context, body.data(), body.size());
  return sdk::detail::fail(error, LEMONADE_ERROR_FAILED, "", "as told");
}

void destroy(void* self) noexcept {
  const std::lock_guard lock(probe(self).mutex);
  probe(self).destroyed = true;
  probe(self).destroyed_on = std::this_thread::get_id();
  probe(self).changed.notify_all();
}

constexpr lemonade_metrics_sink_t kPush = {.struct_size = sizeof(lemonade_metrics_sink_t),
                                           .reserved = 0,
                                           .create = nullptr,
                                           .destroy = destroy,
                                           .flush = flush,
                                           .content_type = nullptr,
                                           .render = nullptr,
                                           .health_event = healthEvent,
                                           .session_records = nullptr,
                                           .reopen = nullptr};
constexpr lemonade_metrics_sink_t kPull = {.struct_size = sizeof(lemonade_metrics_sink_t),
                                           .reserved = 0,
                                           .create = nullptr,
                                           .destroy = destroy,
                                           .flush = nullptr,
                                           .content_type = contentType,
                                           .render = render,
                                           .health_event = nullptr,
                                           .session_records = nullptr,
                                           .reopen = nullptr};

SinkHandle make(const lemonade_metrics_sink_t& table, const std::shared_ptr<Probe>& probe, const std::string& id) {
  return std::make_shared<plugin::Instance<lemonade_metrics_sink_t>>(
      table, probe.get(), plugin::InstanceInfo{.id = id, .version = "1.0.0", .file = ""}, probe);
}

/// Tasks posted to the control thread, which is the test's.
struct Control {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::function<void()>> tasks;

  Undertaker::Post post() {
    return [this](std::function<void()> task) {
      const std::lock_guard lock(mutex);
      tasks.push_back(std::move(task));
      changed.notify_all();
    };
  }
  bool runOne(Duration limit = 10s) {
    std::unique_lock lock(mutex);
    if (!changed.wait_for(lock, limit, [&] { return !tasks.empty(); })) return false;
    const auto task = std::move(tasks.front());
    tasks.erase(tasks.begin());
    lock.unlock();
    task();
    return true;
  }
};

double valueOf(const Snapshot& snapshot, std::string_view family, std::string_view label) {
  const sdk::Snapshot view(snapshot.raw());
  for (std::uint32_t f = 0; f < view.size(); ++f)
    for (std::uint32_t i = 0; view[f].name() == family && i < view[f].size(); ++i)
      if (sdk::view(view[f][i].labels[0].value) == label) return view[f][i].value;
  return -1;
}

constexpr Duration kNever = std::chrono::hours(1);

void oneGauge(SnapshotBuilder& builder) { builder.gauge("one", "One.").add(1); }

/// A snapshot of a collector with this many series, on top of the publisher's own.
Collector series(int count) {
  return [count](SnapshotBuilder& builder) {
    auto family = builder.gauge("many", "Many.");
    for (int i = 0; i < count; ++i) family.add(builder.labels({{"i", std::to_string(i)}}), i);
  };
}

}  // namespace

TEST_CASE("A push sink gets a snapshot every interval", "[metrics]") {
  Control control;
  const auto sink = std::make_shared<Probe>();
  Publisher publisher({oneGauge}, control.post());
  publisher.configure({.interval = 5ms}, {make(kPush, sink, "s")});
  CHECK(sink->eventually([&] { return sink->flushed >= 3; }));
  CHECK(sink->last_families == 7);
  publisher.stop(10s);
  CHECK(sink->destroyed);
}

TEST_CASE("Stopping pushes a last snapshot and destroys the sinks where it is called", "[metrics]") {
  Control control;
  const auto sink = std::make_shared<Probe>();
  Publisher publisher({oneGauge}, control.post());
  publisher.configure({.interval = kNever}, {make(kPush, sink, "s")});
  CHECK(publisher.stop(10s));
  CHECK(sink->flushed == 1);
  REQUIRE(sink->destroyed);
  CHECK(sink->destroyed_on == std::this_thread::get_id());
  CHECK(control.tasks.empty());
}

TEST_CASE("A hung sink delays no other sink and stopping leaves it behind", "[metrics]") {
  Control control;
  const auto hung = std::make_shared<Probe>();
  const auto fine = std::make_shared<Probe>();
  hung->open = false;
  {
    Publisher publisher({oneGauge}, control.post());
    publisher.configure({.interval = 5ms}, {make(kPush, hung, "hung"), make(kPush, fine, "fine")});
    CHECK(fine->eventually([&] { return fine->flushed >= 5; }));
    const auto begin = nowNs();
    CHECK_FALSE(publisher.stop(50ms));
    CHECK(nowNs() - begin < 5'000'000'000u);
    CHECK(fine->destroyed);
    CHECK_FALSE(hung->destroyed);
  }
  // It comes back after the publisher is gone: it ends by itself and is not destroyed any more.
  hung->set(&Probe::open, true);
  CHECK(hung->eventually([&] { return hung->in_call == 0; }));
  CHECK_FALSE(hung->destroyed);
}

TEST_CASE("A snapshot above metrics_cap is still delivered", "[metrics]") {
  Control control;
  const auto sink = std::make_shared<Probe>();
  Publisher publisher({series(100)}, control.post());
  publisher.configure({.interval = 2ms, .metrics_cap = 1}, {make(kPush, sink, "s")});
  CHECK(sink->eventually([&] { return sink->flushed >= 3; }));
  publisher.stop(10s);
}

TEST_CASE("Health events for a slow sink are bounded by health_cap and the oldest go first", "[metrics]") {
  Control control;
  const auto slow = std::make_shared<Probe>();
  slow->open = false;
  Publisher publisher({}, control.post());
  publisher.configure({.interval = kNever, .health_cap = 3}, {make(kPush, slow, "slow")});
  const auto tell = [&](int i) {
    publisher.healthEvent({.id = std::to_string(i), .state = i % 2 == 0 ? LEMONADE_HEALTH_UP : LEMONADE_HEALTH_DOWN});
  };
  tell(0);
  REQUIRE(slow->eventually([&] { return slow->in_call == 1; }));
  for (int i = 1; i <= 9; ++i) tell(i);
  CHECK(valueOf(*publisher.snapshot(), "lemonade_health_events_dropped_total", "slow") == 6);
  slow->set(&Probe::open, true);
  publisher.stop(10s);
  CHECK(slow->events == std::vector<std::string>{"0+", "7-", "8+", "9-"});
}

TEST_CASE("A failing sink is counted and goes on", "[metrics]") {
  Control control;
  const auto sink = std::make_shared<Probe>();
  sink->failing = true;
  Publisher publisher({}, control.post());
  publisher.configure({.interval = 2ms}, {make(kPush, sink, "s")});
  CHECK(sink->eventually([&] { return sink->flushed >= 3; }));
  CHECK(valueOf(*publisher.snapshot(), "lemonade_sink_errors_total", "s") >= 2);
  publisher.stop(10s);
}

TEST_CASE("A source that throws costs its own families only", "[metrics]") {
  Control control;
  Publisher publisher({[](SnapshotBuilder&) { throw std::runtime_error("broken"); }, oneGauge}, control.post());
  CHECK(publisher.snapshot()->raw().family_count == 1);
}

TEST_CASE("Publisher::render asks the first sink that renders or the one named", "[metrics]") {
  Control control;
  const auto first = std::make_shared<Probe>();
  const auto second = std::make_shared<Probe>();
  second->failing = true;
  Publisher publisher({oneGauge}, control.post());
  publisher.configure({.interval = kNever}, {make(kPush, std::make_shared<Probe>(), "push"), make(kPull, first, "a"),
                                             make(kPull, second, "b")});
  CHECK(publisher.readable() == std::vector<std::string>{"a", "b"});

  const auto answer = publisher.render("", "text/plain");
  REQUIRE((answer && answer->ok()));
  CHECK(answer->value().content_type == "text/plain");
  CHECK(answer->value().body == "families 7");
  CHECK_FALSE(publisher.render("push", "").has_value());
  CHECK_FALSE(publisher.render("unknown", "").has_value());

  const auto failed = publisher.render("b", "");
  REQUIRE((failed && !failed->ok()));
  CHECK(failed->error().message == "metrics sink b: as told");
  CHECK(valueOf(*publisher.snapshot(), "lemonade_sink_errors_total", "b") == 1);
  publisher.stop(10s);
}

TEST_CASE("A sink that is configured no more delivers what is queued and is destroyed on the control thread",
          "[metrics]") {
  Control control;
  const auto old = std::make_shared<Probe>();
  const auto next = std::make_shared<Probe>();
  old->open = false;
  Publisher publisher({}, control.post());
  publisher.configure({.interval = kNever}, {make(kPush, old, "s")});
  publisher.healthEvent({.id = "1"});
  publisher.healthEvent({.id = "2"});
  publisher.configure({.interval = kNever}, {make(kPush, next, "s")});
  publisher.healthEvent({.id = "3"});
  CHECK_FALSE(old->destroyed);
  old->set(&Probe::open, true);
  REQUIRE(control.runOne());
  CHECK(old->destroyed);
  CHECK(old->events == std::vector<std::string>{"1-", "2-"});
  CHECK(next->eventually([&] { return next->events == std::vector<std::string>{"3-"}; }));
  publisher.stop(10s);
}

TEST_CASE("Counts of lost metrics go on when a sink is replaced by one of the same id", "[metrics]") {
  Control control;
  const auto sink = std::make_shared<Probe>();
  sink->failing = true;
  Publisher publisher({}, control.post());
  publisher.configure({.interval = kNever}, {make(kPull, sink, "s")});
  CHECK_FALSE(publisher.render("s", "")->ok());
  publisher.configure({.interval = kNever}, {make(kPull, sink, "s")});
  CHECK(valueOf(*publisher.snapshot(), "lemonade_sink_errors_total", "s") == 1);
  publisher.stop(10s);
}

TEST_CASE("An instance is not destroyed while a reader is being answered", "[metrics]") {
  Control control;
  const auto sink = std::make_shared<Probe>();
  sink->open = false;
  Publisher publisher({}, control.post());
  publisher.configure({.interval = kNever}, {make(kPull, sink, "s")});
  auto reader = std::async(std::launch::async, [&] { return publisher.render("s", "")->ok(); });
  REQUIRE(sink->eventually([&] { return sink->in_call == 1; }));
  publisher.configure({.interval = kNever}, {});
  CHECK_FALSE(sink->destroyed);
  sink->set(&Probe::open, true);
  CHECK(reader.get());
  REQUIRE(control.runOne());
  CHECK(sink->destroyed);
  publisher.stop(10s);
}
