// SPDX-License-Identifier: MIT
#include "base/control_loop.h"

#include "base/clock.h"
#include "base/fd.h"
#include "support/manual_clock.h"

#include <fcntl.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using lemonade::ControlLoop;
using lemonade::Fd;
using lemonade::test::ManualLoop;

namespace {

constexpr auto kDeadline = 5s;

/// Something that happens once, awaited with a deadline.
class Event {
 public:
  void set() { promise_.set_value(); }
  bool wait() { return future_.wait_for(kDeadline) == std::future_status::ready; }

 private:
  std::promise<void> promise_;
  std::future<void> future_ = promise_.get_future();
};

void signal(int fd) {
  const std::uint64_t one = 1;
  REQUIRE(::write(fd, &one, sizeof(one)) == sizeof(one));
}

void drain(int fd) {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = ::read(fd, &count, sizeof(count));
}

Fd makeEvent() { return Fd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)); }

struct RunningLoop : ControlLoop {
  RunningLoop() { start(); }
};

}  // namespace

TEST_CASE("ControlLoop runs posts in their order on one thread of its own", "[base][control_loop]") {
  ControlLoop loop;
  std::vector<int> order;
  bool always_current = true;
  for (int i = 0; i < 1'000; ++i) {
    loop.post([&, i] {
      order.push_back(i);
      always_current = always_current && loop.isCurrent();
    });
    if (i == 500) loop.start();
  }
  REQUIRE(loop.run([] {}));
  REQUIRE(order.size() == 1'000);
  CHECK(std::is_sorted(order.begin(), order.end()));
  CHECK(always_current);
  CHECK_FALSE(loop.isCurrent());
}

TEST_CASE("ControlLoop::post from within a task runs after the task", "[base][control_loop]") {
  RunningLoop loop;
  std::vector<int> order;
  Event done;
  loop.post([&] {
    loop.post([&] {
      order.push_back(2);
      done.set();
    });
    order.push_back(1);
  });
  REQUIRE(done.wait());
  CHECK(order == std::vector{1, 2});
}

TEST_CASE("ControlLoop::run returns when the task is done from several threads at once", "[base][control_loop]") {
  RunningLoop loop;
  int sum = 0;  // the control thread's
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 250; ++i) {
        int seen = 0;
        if (loop.run([&] { seen = ++sum; }) && seen == 0) std::abort();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(loop.run([&] { CHECK(sum == 1'000); }));
}

TEST_CASE("ControlLoop::run on the control thread runs at once", "[base][control_loop]") {
  RunningLoop loop;
  bool nested = false;
  CHECK(loop.run([&] { CHECK(loop.run([&] { nested = true; })); }));
  CHECK(nested);
}

TEST_CASE("ControlLoop survives tasks and timers and watches that throw", "[base][control_loop]") {
  RunningLoop loop;
  const Fd event = makeEvent();
  Event timer;
  Event watch;
  CHECK(loop.run([] { throw std::runtime_error("a task that throws"); }));
  loop.run([&] {
    loop.after(0ms, [&] {
      timer.set();
      throw 42;
    });
    loop.watch(event.get(), [&] {
      drain(event.get());
      watch.set();
      throw std::runtime_error("a watch that throws");
    });
  });
  signal(event.get());
  CHECK(timer.wait());
  CHECK(watch.wait());
  CHECK(loop.run([&] { loop.unwatch(event.get()); }));
}

TEST_CASE("ControlLoop wakes by itself when a timer is due", "[base][control_loop]") {
  RunningLoop loop;
  Event done;
  std::uint64_t due = 0, ran = 0;
  loop.run([&] {
    due = lemonade::nowNs() + 10'000'000;
    loop.after(10ms, [&] {
      ran = lemonade::nowNs();
      done.set();
    });
  });
  REQUIRE(done.wait());
  CHECK(ran >= due);
}

TEST_CASE("ControlLoop timers fire in the order of their deadlines", "[base][control_loop]") {
  ManualLoop time;
  std::vector<int> order;
  time.loop.after(30ms, [&] { order.push_back(3); });
  time.loop.after(10ms, [&] { order.push_back(1); });
  time.loop.after(20ms, [&] { order.push_back(2); });
  time.loop.start();
  time.pass(29'999us);
  CHECK(order == std::vector{1, 2});
  time.pass(1us);
  CHECK(order == std::vector{1, 2, 3});
}

TEST_CASE("ControlLoop has long timers that lie close together end together and none too early",
          "[base][control_loop]") {
  constexpr int kTimers = 40;
  ManualLoop time;
  time.loop.start();
  int fired = 0;
  bool early = false;
  for (int i = 0; i < kTimers; ++i) {
    const auto delay = 1s + i * 50us;
    const auto due = time.clock.nowNs() + static_cast<std::uint64_t>(std::chrono::nanoseconds(delay).count());
    time.loop.run([&] {
      time.loop.after(delay, [&, due] {
        early = early || time.clock.nowNs() < due;
        ++fired;
      });
    });
  }
  time.pass(1s - 50us);
  int wakeups = 0;
  for (auto passed = 0us; passed < 20ms; passed += 50us) {
    const int before = fired;
    time.pass(50us);
    wakeups += fired > before ? 1 : 0;
  }
  CHECK(fired == kTimers);
  CHECK(wakeups <= 2);
  CHECK_FALSE(early);
}

TEST_CASE("ControlLoop::cancel ends timers before and within their own task", "[base][control_loop]") {
  ManualLoop time;
  bool cancelled_ran = false;
  int beats = 0;
  const auto cancelled = time.loop.after(5ms, [&] { cancelled_ran = true; });
  ControlLoop::TimerId beat = 0;
  beat = time.loop.every(2ms, [&] {
    if (++beats == 3) time.loop.cancel(beat);
  });
  time.loop.cancel(cancelled);
  time.loop.cancel(0);
  time.loop.cancel(987'654);
  time.loop.start();
  for (int i = 0; i < 5; ++i) time.pass(1ms);
  CHECK(beats == 2);
  for (int i = 0; i < 15; ++i) time.pass(1ms);
  CHECK(beats == 3);
  CHECK_FALSE(cancelled_ran);
}

TEST_CASE("ControlLoop keeps thousands of timers apart", "[base][control_loop]") {
  constexpr int kTimers = 10'000, kDelays = 50;
  ManualLoop time;
  int fired = 0;
  std::vector<ControlLoop::TimerId> odd;
  for (int i = 0; i < kTimers; ++i) {
    const auto id = time.loop.after(std::chrono::milliseconds(1 + i / 2 % kDelays), [&] { ++fired; });
    if (i % 2 == 1) odd.push_back(id);
  }
  for (const auto id : odd) time.loop.cancel(id);
  time.loop.start();
  for (int i = 1; i <= kDelays; ++i) {
    time.pass(1ms);
    CHECK(fired == i * kTimers / 2 / kDelays);
  }
}

TEST_CASE("ControlLoop has timers that an advance of its clock makes due run after the task that made it",
          "[base][control_loop]") {
  ManualLoop time;
  std::vector<int> order;
  time.loop.start();
  time.loop.run([&] {
    time.loop.after(1h, [&] { order.push_back(2); });
    time.clock.advance(2h);
    order.push_back(1);
  });
  time.pass(0s);
  CHECK(order == std::vector{1, 2});
}

TEST_CASE("ControlLoop::watch reports a readable descriptor until it is unwatched within the call",
          "[base][control_loop]") {
  RunningLoop loop;
  const Fd event = makeEvent();
  int calls = 0;
  Event done;
  loop.run([&] {
    loop.watch(event.get(), [&] {
      drain(event.get());
      if (++calls < 3) return signal(event.get());
      loop.unwatch(event.get());
      done.set();
    });
  });
  signal(event.get());
  REQUIRE(done.wait());
  signal(event.get());
  CHECK(loop.run([] {}));
  CHECK(calls == 3);
  CHECK(::fcntl(event.get(), F_GETFD) >= 0);
}

TEST_CASE("ControlLoop::watch within a call of another watch begins to report", "[base][control_loop]") {
  RunningLoop loop;
  const Fd first = makeEvent();
  const Fd second = makeEvent();
  Event done;
  loop.run([&] {
    loop.watch(first.get(), [&] {
      loop.unwatch(first.get());
      loop.watch(second.get(), [&] {
        loop.unwatch(second.get());
        done.set();
      });
    });
  });
  signal(first.get());
  signal(second.get());
  CHECK(done.wait());
}

TEST_CASE("ControlLoop::stop drops what has not run and frees whoever waits for it", "[base][control_loop]") {
  RunningLoop loop;
  Event busy;
  std::promise<void> release;
  bool dropped_ran = false;
  bool timer_ran = false;
  const auto owned = std::make_shared<int>(1);
  loop.post([&] {
    loop.after(0ms, [&, owned] { timer_ran = true; });
    busy.set();
    release.get_future().wait();
  });
  REQUIRE(busy.wait());
  loop.post([&, owned] { dropped_ran = true; });
  auto waiting = std::async(std::launch::async, [&] { return loop.run([&] { dropped_ran = true; }); });
  auto stopped = std::async(std::launch::async, [&] { loop.stop(); });
  while (loop.run([] {})) std::this_thread::yield();
  release.set_value();
  REQUIRE(stopped.wait_for(kDeadline) == std::future_status::ready);
  REQUIRE(waiting.wait_for(kDeadline) == std::future_status::ready);
  CHECK_FALSE(dropped_ran);
  CHECK_FALSE(timer_ran);
  CHECK(owned.use_count() == 1);
  CHECK_FALSE(loop.run([] {}));
}

TEST_CASE("ControlLoop stops at once while it is idle", "[base][control_loop]") {
  RunningLoop loop;
  loop.run([] {});
  const auto start = lemonade::nowNs();
  loop.stop();
  CHECK(lemonade::nowNs() - start < 150'000'000);
}

TEST_CASE("ControlLoop that never started can be destroyed", "[base][control_loop]") {
  ControlLoop loop;
  loop.post([] {});
  loop.every(1ms, [] {});
  loop.stop();
  CHECK_FALSE(loop.run([] {}));
}
