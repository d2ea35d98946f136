// SPDX-License-Identifier: MIT
//
// What lemonade/host.h promises a plugin of the host's services.
#include "plugin/host_handle.h"

#include "plugin/text.h"

#include "support/deadline.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <vector>

namespace lemonade::plugin {
namespace {

struct Fixture {
  Fixture() { loop.start(); }
  ~Fixture() {
    loop.run([&] { handle.revoke(); });
    loop.stop();
  }

  lemonade_status_t startTimer(std::uint64_t interval_ns, std::uint64_t* timer) {
    return host.timer_start(
        host.context, interval_ns, [](void* counter) noexcept { ++*static_cast<Count*>(counter); }, &beats, timer);
  }
  lemonade_status_t metric(std::uint32_t type, std::string_view name, lemonade_metric_cell_t** cell) {
    return host.register_metric(host.context, type, str(name), str("Help."), cell);
  }
  lemonade_status_t post(void (*callback)(void*) noexcept, void* user) {
    return host.post(host.context, callback, user);
  }

  using Count = std::atomic<int>;
  // Kept until the process ends, as host handles demand.
  ControlLoop& loop = *new ControlLoop;
  MetricCells& cells = *new MetricCells;
  HostHandle& handle = HostHandle::make("com.example.test", loop, cells);
  const lemonade_host_t& host = handle.table();
  Count beats{0};
};

}  // namespace

TEST_CASE_METHOD(Fixture, "HostHandle calls a timer again and again, and not more often than it may", "[plugin]") {
  std::uint64_t quick = 0, never = 0;
  const auto before = nowNs();
  loop.run([&] {
    CHECK(startTimer(0, &quick) == LEMONADE_OK);
    CHECK(startTimer(~std::uint64_t{0}, &never) == LEMONADE_OK);
  });
  CHECK(quick != 0);
  CHECK(never != 0);
  CHECK(test::eventually([&] { return beats >= 5; }));
  int counted = 0;
  loop.run([&] {
    host.timer_cancel(host.context, quick);
    host.timer_cancel(host.context, 12'345);
    counted = beats;
  });
  CHECK(static_cast<std::uint64_t>(counted) <= (nowNs() - before) / 1'000'000);
  std::uint64_t other = 0;
  loop.run([&] { CHECK(startTimer(1, &other) == LEMONADE_OK); });
  CHECK(test::eventually([&] { return beats > counted; }));
}

TEST_CASE_METHOD(Fixture, "HostHandle starts and ends timers on the control thread only", "[plugin]") {
  std::uint64_t none = 0, timer = 0;
  CHECK(startTimer(1, &none) == LEMONADE_ERROR_UNSUPPORTED);
  CHECK(none == 0);
  loop.run([&] { CHECK(startTimer(1, &timer) == LEMONADE_OK); });
  host.timer_cancel(host.context, timer);
  const int counted = beats;
  CHECK(test::eventually([&] { return beats > counted + 5; }));
}

TEST_CASE_METHOD(Fixture, "HostHandle lets a timer end itself", "[plugin]") {
  struct Once {
    const lemonade_host_t& host;
    std::uint64_t timer = 0;
    std::atomic<int> runs{0};
  } once{host};
  std::uint64_t other = 0;
  loop.run([&] {
    host.timer_start(
        host.context, 1'000'000,
        [](void* user) noexcept {
          auto& self = *static_cast<Once*>(user);
          ++self.runs;
          self.host.timer_cancel(self.host.context, self.timer);
        },
        &once, &once.timer);
    startTimer(1'000'000, &other);
  });
  CHECK(test::eventually([&] { return beats >= 5; }));
  CHECK(once.runs == 1);
}

TEST_CASE_METHOD(Fixture, "HostHandle gives an instance 64 timers and 1024 posts at once", "[plugin]") {
  std::vector<std::uint64_t> timers(65);
  loop.run([&] {
    for (int i = 0; i < 64; ++i)
      CHECK(startTimer(3'600'000'000'000, &timers[static_cast<std::size_t>(i)]) == LEMONADE_OK);
    CHECK(startTimer(1, &timers[64]) == LEMONADE_ERROR_LIMIT);
    // Nothing of it runs before this task has ended.
    const auto count = [](void* to) noexcept { ++*static_cast<Count*>(to); };
    for (int i = 0; i < 1'024; ++i) CHECK(post(count, &beats) == LEMONADE_OK);
    CHECK(post(count, &beats) == LEMONADE_ERROR_LIMIT);
  });
  CHECK(test::eventually([&] { return beats == 1'024; }));
}

TEST_CASE_METHOD(Fixture, "HostHandle gives the same cell for the same name and refuses wrong ones", "[plugin]") {
  lemonade_metric_cell_t* first = nullptr;
  lemonade_metric_cell_t* again = nullptr;
  loop.run([&] {
    CHECK(metric(LEMONADE_METRIC_COUNTER, "seen_total", &first) == LEMONADE_OK);
    CHECK(metric(LEMONADE_METRIC_COUNTER, "seen_total", &again) == LEMONADE_OK);
    lemonade_metric_cell_t* none = nullptr;
    CHECK(metric(LEMONADE_METRIC_COUNTER, "seen", &none) == LEMONADE_ERROR_INVALID);
    CHECK(metric(LEMONADE_METRIC_GAUGE, "Seen", &none) == LEMONADE_ERROR_INVALID);
    CHECK(metric(LEMONADE_METRIC_GAUGE, "seen_total", &none) == LEMONADE_ERROR_INVALID);
    CHECK(metric(LEMONADE_METRIC_HISTOGRAM, "seen_seconds", &none) == LEMONADE_ERROR_INVALID);
    CHECK(metric(LEMONADE_METRIC_GAUGE, std::string(129, 'a'), &none) == LEMONADE_ERROR_INVALID);
    for (int i = 1; i < 64; ++i)
      CHECK(metric(LEMONADE_METRIC_GAUGE, "gauge_" + std::to_string(i), &none) == LEMONADE_OK);
    CHECK(metric(LEMONADE_METRIC_GAUGE, "gauge_64", &none) == LEMONADE_ERROR_LIMIT);
  });
  REQUIRE(first != nullptr);
  CHECK(first == again);
}

TEST_CASE_METHOD(Fixture, "HostHandle does nothing once it is revoked", "[plugin]") {
  std::uint64_t timer = 0;
  lemonade_metric_cell_t* cell = nullptr;
  const auto count = [](void* to) noexcept { ++*static_cast<Count*>(to); };
  loop.run([&] {
    CHECK(startTimer(1, &timer) == LEMONADE_OK);
    CHECK(post(count, &beats) == LEMONADE_OK);
    handle.revoke();
    CHECK(post(count, &beats) == LEMONADE_ERROR_RETIRED);
    CHECK(startTimer(1, &timer) == LEMONADE_ERROR_RETIRED);
    CHECK(metric(LEMONADE_METRIC_GAUGE, "late", &cell) == LEMONADE_ERROR_RETIRED);
    CHECK(host.now_ns(host.context) == 0);
    CHECK(host.get_extension(host.context, str("com.example.none/1")) == nullptr);
    host.timer_cancel(host.context, timer);
    host.log(host.context, LEMONADE_LOG_ERROR, str("not to be seen"));
  });
  // What comes after it on the loop runs later than what was posted before.
  loop.run([] {});
  CHECK(beats == 0);
  CHECK(cell == nullptr);
}

}  // namespace lemonade::plugin
