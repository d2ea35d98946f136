// SPDX-License-Identifier: MIT
//
// What a test drives a Monitor with: a clock that the test moves, a checker that follows a script, and turns of checks
// that the test carries out.
#pragma once

#include "health/checks.h"
#include "health/monitor.h"
#include "scripted_checker.h"
#include "support/deadline.h"
#include "support/manual_clock.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace lemonade::test {

using namespace std::chrono_literals;
using health::CheckSettings;
using health::Monitor;

using Backends = std::vector<std::shared_ptr<Backend>>;

/// A monitor on a control loop of its own, which carries its checks out, too. What happens there is read there: see
/// at(). What a script refers to outlives the bench.
class Bench {
 public:
  struct Flip {
    std::string id;
    bool up;
    std::string reason;
    std::uint64_t after_checks;
  };

  explicit Bench(const CheckSettings& settings = {.interval = 10s, .timeout = 2s, .rise = 2, .fall = 3}) {
    monitor.configure(settings);
    loop.start();
  }
  ~Bench() {
    loop.run([this] {
      monitor.stop();
      checker.reset();
      if (prober_ != nullptr) {
        prober_->stop();
        while (prober_->turn(false)) {
        }
        prober_->over();
      }
      CHECK(checks_.stop(0s));
    });
    loop.stop();
    CHECK(script.begun == script.ended);
    CHECK(script.destroyed == 1);
    CHECK_FALSE(script.broken);
  }

  /// From now on checks only end by their timeout.
  void hang() {
    loop.run([&] { script.on_event = ScriptedChecker::waitForEver; });
    hanging_ = true;
  }
  /// Watches these; the first of them is checked at once.
  void watch(const Backends& backends) {
    change([&] {
      monitor.setChecker(checker);
      monitor.setBackends(backends);
    });
  }
  /// Does something on the control thread, and has the checks end that begin so.
  void change(const std::function<void()>& task) {
    loop.run(task);
    pass(0s);
  }
  /// So much time passes at once, and the checks that begin by that end. A backend is checked once at most.
  void pass(Duration time) {
    time_.pass(time);
    carryOut();
    if (!hanging_) REQUIRE(eventually([&] { return monitor.running() == 0; }));
  }
  /// Every backend is checked so many times.
  void checkAgain(int times) {
    for (int i = 0; i < times; ++i) pass(kInterval + kInterval / 5);
  }
  /// A value of the control thread's.
  template <class F>
  auto at(F read) {
    decltype(read()) value{};
    loop.run([&] { value = read(); });
    return value;
  }
  /// Waits until reached() holds, which the control thread is asked. No time passes.
  bool eventually(const std::function<bool()>& reached) {
    const test::Deadline limit(5s);
    while (!at(reached) && !limit.over()) carryOut();
    return at(reached);
  }
  std::uint64_t checks() const { return monitor.counters().checks.value(); }
  int begun() {
    return at([&] { return script.begun.load(); });
  }

  static constexpr Duration kInterval = 10s;

 private:
  /// Checks begin and end, and those that follow begin.
  void carryOut() {
    for (int i = 0; i < 4; ++i)
      loop.run([this] {
        if (prober_ == nullptr) return;
        (void)prober_->turn(false);
        prober_->takeReturned();
      });
  }

  test::ManualLoop time_;
  bool hanging_ = false;
  std::shared_ptr<health::Prober> prober_;
  health::Checks checks_{time_.loop, [this](const auto& prober) { prober_ = prober; }};

 public:
  ScriptedChecker script;
  std::shared_ptr<health::Checker> checker = script.instance();
  std::vector<Flip> flips;
  std::function<void()> on_flip = [] {};
  ControlLoop& loop = time_.loop;
  Monitor monitor{loop, checks_, [this](const std::shared_ptr<Backend>& backend) {
                    flips.push_back({backend->id(), backend->healthy(), backend->healthReason(), checks()});
                    on_flip();
                  }};
};

}  // namespace lemonade::test
