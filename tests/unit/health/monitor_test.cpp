// SPDX-License-Identifier: MIT
//
// When backends are checked, and what their checks come to. Time is the test's; only what the kernel does with a
// connection over loopback is waited for.
#include "health/monitor.h"

#include "loopback.h"
#include "monitor_bench.h"
#include "scripted_checker.h"

#include <sys/resource.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace lemonade;
using health::CheckSettings;
using health::Monitor;
using test::Backends;
using test::Bench;
using test::Port;
using test::ScriptedChecker;

namespace {

/// A script of verdicts, 'P' and 'F', one for each check; the last goes on for ever.
std::function<test::Verdict(const lemonade_probe_event_t&)> verdicts(std::string sequence) {
  return [sequence = std::move(sequence), at = std::size_t{0}](const auto&) mutable {
    const char verdict = sequence[std::min(at++, sequence.size() - 1)];
    return verdict == 'P' ? sdk::pass() : sdk::fail("scripted");
  };
}

}  // namespace

TEST_CASE("Monitor takes a backend down at its first check where that fails", "[health][monitor]") {
  const Port port(Port::Kind::kRefusing);
  const auto backend = port.backend();
  Bench b;
  b.watch({backend});
  REQUIRE(b.flips.size() == 1);
  CHECK(b.flips[0].id == "web-1");
  CHECK_FALSE(b.flips[0].up);
  CHECK(b.flips[0].after_checks == 1);
  CHECK(b.flips[0].reason == "connection refused");
  CHECK_FALSE(backend->healthy());
}

TEST_CASE("Monitor brings up a backend that began to listen and takes it down when that ends", "[health][monitor]") {
  auto port = std::make_unique<Port>(Port::Kind::kRefusing);
  const auto backend = port->backend();
  Bench b;
  b.watch({backend});
  REQUIRE(b.flips.size() == 1);
  port->listen();
  b.checkAgain(2);
  REQUIRE(b.flips.size() == 2);
  CHECK(b.flips[1].up);
  CHECK(backend->healthReason().empty());
  port.reset();
  b.checkAgain(3);
  REQUIRE(b.flips.size() == 3);
  CHECK(b.flips[2].reason == "connection refused");
}

TEST_CASE("Monitor counts rise and fall exactly and tells each flip once", "[health][monitor]") {
  const Port port(Port::Kind::kListening);
  Bench b;
  b.script.on_event = verdicts("PFFPFFFPFPPFFFF");
  b.watch({port.backend()});
  b.checkAgain(19);
  CHECK(b.checks() == 20);
  REQUIRE(b.flips.size() == 3);
  // Up with 4 of 4, F 3, F 2, P 3, F 2, F down.
  CHECK((!b.flips[0].up && b.flips[0].after_checks == 6));
  CHECK((b.flips[1].up && b.flips[1].after_checks == 11));
  CHECK((!b.flips[2].up && b.flips[2].after_checks == 14));
}

TEST_CASE("Monitor counts a degraded backend as up and shows why", "[health][monitor]") {
  const Port port(Port::Kind::kListening);
  const auto backend = port.backend();
  Bench b;
  b.script.on_event = [](const auto&) { return sdk::degraded("replica lags"); };
  b.watch({backend});
  b.checkAgain(2);
  CHECK(b.checks() == 3);
  CHECK(backend->healthy());
  CHECK(backend->healthReason() == "replica lags");
  CHECK(b.flips.empty());
  CHECK(b.monitor.counters().failures.value() == 0);
}

TEST_CASE("Monitor ends a check that outlasts its timeout", "[health][monitor]") {
  const Port port(Port::Kind::kListening);
  Duration elapsed{};
  Bench b({.interval = 10s, .timeout = 3s, .rise = 1, .fall = 1});
  b.hang();
  b.script.on_event = [&](const auto& event) {
    if (event.type == LEMONADE_PROBE_TIMEOUT) elapsed = Duration(event.elapsed_ns);
    return sdk::wait();
  };
  b.watch({port.backend()});
  b.pass(2'999ms);
  CHECK(b.at([&] { return b.flips.empty(); }));
  b.pass(30ms);
  REQUIRE(b.at([&] { return b.flips.size(); }) == 1);
  CHECK(b.flips[0].reason == "timed out after 3s");
  CHECK(elapsed == 3'029ms);
}

TEST_CASE("Monitor never checks a backend twice at once", "[health][monitor]") {
  const Port port(Port::Kind::kListening);
  Bench b({.interval = 2s, .timeout = 25s, .rise = 2, .fall = 3});
  b.hang();
  const Backends backends = {port.backend("a"), port.backend("b")};
  b.watch(backends);
  b.pass(1s);
  for (int i = 0; i < 5; ++i) {
    CHECK(b.begun() == 2 * (i + 1));
    b.change([&] {
      b.monitor.setBackends(backends);
      b.monitor.configure({.interval = 1s + i * 1s, .timeout = 25s, .rise = 2, .fall = 3});
    });
    b.pass(10s);
    CHECK(b.begun() == 2 * (i + 1));
    b.pass(20s);  // these end
    b.pass(10s);
  }
  CHECK_FALSE(b.at([&] { return b.script.broken.load(); }));
}

TEST_CASE("Monitor spreads the first checks over one interval", "[health][monitor]") {
  constexpr int kBackends = 50;
  const Port port(Port::Kind::kListening);
  Backends backends;
  for (int i = 0; i < kBackends; ++i) backends.push_back(port.backend("web-" + std::to_string(i)));
  Bench b({.interval = 500ms, .timeout = 2s, .rise = 2, .fall = 3});
  b.hang();
  b.watch(backends);
  for (int i = 1; i <= kBackends; ++i) {
    CHECK(b.begun() == i);
    b.pass(500ms / kBackends);
  }
  CHECK(b.begun() == kBackends);
}

TEST_CASE("Monitor bounds how many checks run at once and lets the others follow", "[health][monitor]") {
  constexpr int kBackends = 300;
  const Port port(Port::Kind::kListening);
  Backends backends;
  for (int i = 0; i < kBackends; ++i) backends.push_back(port.backend("web-" + std::to_string(i)));
  Bench b({.interval = 20s, .timeout = 10s, .rise = 1, .fall = 1});
  b.hang();
  b.watch(backends);
  b.pass(1s);
  CHECK(b.begun() == Monitor::kMaxRunning);
  SECTION("when some end") {
    b.pass(11s);
    CHECK(b.begun() == kBackends);
    CHECK(b.at([&] { return b.flips.size(); }) == Monitor::kMaxRunning);
  }
  SECTION("when backends are forgotten") {
    b.change([&] { b.monitor.setBackends({backends.begin() + 200, backends.end()}); });
    CHECK(b.begun() == kBackends);
    CHECK(b.at([&] { return b.script.ended.load(); }) == 200);
  }
}

TEST_CASE("Monitor forgets a backend in the middle of its check", "[health][monitor]") {
  const Port port(Port::Kind::kListening);
  auto backend = port.backend();
  Bench b;
  b.hang();
  b.watch({backend});
  REQUIRE(b.begun() == 1);
  b.change([&] { b.monitor.setBackends({}); });
  CHECK(b.at([&] { return b.script.ended.load(); }) == 1);
  CHECK(b.checks() == 0);
  CHECK(backend.use_count() == 1);
}

TEST_CASE("Monitor ends its checks on the checker that began them", "[health][monitor]") {
  const Port port(Port::Kind::kListening);
  const auto backend = port.backend();
  Bench b;
  b.hang();
  b.watch({backend});
  REQUIRE(b.begun() == 1);
  ScriptedChecker successor;
  b.change([&] {
    b.checker.reset();
    b.monitor.setChecker(successor.instance());
  });
  CHECK(b.at([&] { return b.script.ended.load(); }) == 1);
  CHECK(b.at([&] { return b.script.destroyed.load(); }) == 1);
  CHECK(b.eventually([&] { return b.checks() == 1; }));
  b.change([&] { b.monitor.setChecker(nullptr); });
  CHECK(successor.destroyed == 1);
  CHECK(successor.begun == 1);
  CHECK(successor.ended == 1);
}

TEST_CASE("Monitor checks nothing without a checker and everything once it has one", "[health][monitor]") {
  const Port port(Port::Kind::kListening);
  Bench b;
  b.change([&] { b.monitor.setBackends({port.backend("a"), port.backend("b")}); });
  b.pass(1h);
  CHECK(b.begun() == 0);
  b.change([&] { b.monitor.setChecker(b.checker); });
  b.pass(1s);
  CHECK(b.checks() == 2);
}

TEST_CASE("Monitor keeps what it knows of a backend over a reload", "[health][monitor]") {
  const Port port(Port::Kind::kListening);
  const Port other(Port::Kind::kListening);
  const auto stays = port.backend("stays"), fresh = other.backend("new");
  Bench b;
  b.script.on_event = verdicts("PFPF");
  b.watch({stays});
  b.checkAgain(1);
  b.change([&] { b.monitor.setBackends({stays, stays, fresh}); });  // the third check is the first of the new one
  CHECK(b.checks() == 3);
  CHECK(b.flips.empty());
  b.change([&] { b.monitor.setBackends({stays}); });
  b.checkAgain(1);
  CHECK(b.flips.empty());
  b.checkAgain(1);
  REQUIRE(b.flips.size() == 1);  // of three failures one was before
  CHECK(b.flips[0].id == "stays");
  CHECK(fresh->healthy());
}

TEST_CASE("Monitor takes a shorter interval at once", "[health][monitor]") {
  const Port port(Port::Kind::kListening);
  Bench b({.interval = 1h, .timeout = 2s, .rise = 2, .fall = 3});
  b.watch({port.backend()});
  REQUIRE(b.checks() == 1);
  b.change([&] { b.monitor.configure({.interval = Bench::kInterval, .timeout = 2s, .rise = 2, .fall = 3}); });
  b.checkAgain(3);
  CHECK(b.checks() == 4);
}

TEST_CASE("Monitor has an interval for each of up and down and changing and takes new ones at once",
          "[health][monitor]") {
  const Port port(Port::Kind::kListening);
  const auto settings = [](Duration interval, Duration fast, Duration down) {
    return CheckSettings{interval, 2s, 2, 3, fast, down};
  };
  Bench b(settings(1h, 1h, 5s));
  const auto stopsAt = [&](std::uint64_t checks) {
    for (int i = 0; i < 3; ++i) b.pass(6s);
    const bool reached = b.checks() == checks;
    b.pass(30min);
    return reached && b.checks() == checks;
  };
  const auto configure = [&](const CheckSettings& now) { b.change([&] { b.monitor.configure(now); }); };
  b.script.on_event = verdicts("FPPFFFF");
  b.watch({port.backend()});
  CHECK(stopsAt(2));  // down was short, on the way up is long
  configure(settings(1h, 5s, 1h));
  CHECK(stopsAt(3));  // up
  configure(settings(5s, 1h, 1h));
  CHECK(stopsAt(4));  // on the way down
  configure(settings(1h, 5s, 1h));
  CHECK(stopsAt(6));                // down
  configure(settings(5s, 1h, 0s));  // 0 means interval
  b.pass(6s);
  b.pass(6s);
  CHECK(b.checks() == 9);
}

TEST_CASE("Monitor checks a backend that changes five times as often unless told otherwise", "[health][monitor]") {
  const Port port(Port::Kind::kListening);
  // 10 s from one check to the next; while the backend is on its way down or up 2 s, give or take 10 %.
  Bench b({.interval = 10s, .timeout = 2s, .rise = 2, .fall = 2});
  b.script.on_event = verdicts("PFFPP");
  b.watch({port.backend()});
  b.checkAgain(1);
  REQUIRE(b.checks() == 2);  // one failed: on its way
  b.pass(1'790ms);
  CHECK(b.checks() == 2);
  b.pass(450ms);
  CHECK(b.checks() == 3);  // down
  b.pass(8'990ms);
  CHECK(b.checks() == 3);
  b.pass(2'200ms);
  CHECK(b.checks() == 4);
}

TEST_CASE("Monitor checks disabled backends and leaves unresolved ones alone", "[health][monitor]") {
  const Port port(Port::Kind::kRefusing);
  const auto disabled = port.backend("disabled", false);
  const config::Backend settings{.id = "unresolved", .name = "", .host = "nowhere", .port = 80};
  const auto unresolved = std::make_shared<Backend>(settings, Address(), 1);
  Bench b;
  b.watch({unresolved, disabled});
  b.checkAgain(2);
  CHECK(b.checks() == 3);
  CHECK(b.flips.size() == 1);
  CHECK_FALSE(disabled->healthy());
  CHECK(unresolved->healthReason().empty());
}

TEST_CASE("Monitor lets whoever hears of a flip change everything", "[health][monitor]") {
  const Port port(Port::Kind::kRefusing);
  Backends backends;
  for (int i = 0; i < 20; ++i) backends.push_back(port.backend("web-" + std::to_string(i)));
  Bench b;
  SECTION("forget all backends") {
    b.on_flip = [&] { b.monitor.setBackends({}); };
  }
  SECTION("stop") {
    b.on_flip = [&] { b.monitor.stop(); };
  }
  b.watch(backends);
  b.pass(1h);
  CHECK(b.flips.size() == 1);
}

TEST_CASE("Monitor puts checks off while descriptors are exhausted", "[health][monitor]") {
  const Port port(Port::Kind::kListening);
  const auto backend = port.backend();
  Bench b({.interval = 10s, .timeout = 2s, .rise = 1, .fall = 1});
  b.watch({backend});
  REQUIRE(b.checks() == 1);
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  b.checkAgain(1);
  b.pass(1'200ms);  // sooner than the interval says
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(b.monitor.counters().skipped.value() == 2);
  CHECK(backend->healthy());
  b.checkAgain(2);
  CHECK(b.checks() == 3);
  CHECK(b.monitor.counters().failures.value() == 0);
}

TEST_CASE("Monitor keeps what it found where the checker itself fails and counts that apart", "[health][monitor]") {
  const Port a(Port::Kind::kListening);
  const auto backend = a.backend();
  Bench b;
  SECTION("of a backend that was up") {
    b.script.begin_status = LEMONADE_ERROR_FAILED;
    b.watch({backend});
    b.checkAgain(4);
    CHECK(b.monitor.counters().broken.value() == 5);
    CHECK(backend->healthy());
  }
  SECTION("of a backend that was down") {
    b.script.on_event = ScriptedChecker::failWhenConnected;
    b.watch({backend});
    REQUIRE_FALSE(backend->healthy());
    b.script.on_event = [](const auto&) { return sdk::fail("the checker threw an exception"); };
    b.checkAgain(5);
    CHECK(b.monitor.counters().broken.value() == 5);
    CHECK_FALSE(backend->healthy());
    CHECK(backend->healthReason() == "scripted");
  }
}

TEST_CASE("Monitor gives a new backend no clients before its first check where it is told so", "[health][monitor]") {
  const Port a(Port::Kind::kListening), b(Port::Kind::kListening);
  const auto old = a.backend("old"), young = b.backend("young");
  CheckSettings settings{.interval = 10s, .timeout = 2s, .rise = 2, .fall = 3};
  Bench bench(settings);
  bench.watch({old});
  settings.initial = config::Initial::kCheck;
  bench.change([&] {
    bench.monitor.configure(settings);
    bench.monitor.setBackends({old, young});
    CHECK(old->healthy());
    CHECK_FALSE(young->healthy());
    CHECK(young->healthReason() == "not checked yet");
    CHECK_FALSE(bench.monitor.allChecked());
  });
  CHECK(young->healthy());
  CHECK(bench.monitor.allChecked());
}

TEST_CASE("Monitor calls everybody up where nothing is checked any more", "[health][monitor]") {
  const Port a(Port::Kind::kRefusing), b(Port::Kind::kListening);
  const auto dead = a.backend("dead"), added = b.backend("added");
  CheckSettings settings{.interval = 10s, .timeout = 2s, .rise = 2, .fall = 3};
  Bench bench(settings);
  bench.watch({dead});
  REQUIRE_FALSE(dead->healthy());
  settings.checks = false;
  bench.change([&] {
    bench.monitor.configure(settings);
    bench.monitor.setBackends({dead, added});
    bench.monitor.setChecker(nullptr);
  });
  CHECK(bench.flips.size() == 2);
  CHECK(dead->healthy());
  CHECK(dead->healthReason() == "not checked");
  CHECK(added->healthReason() == "not checked");
  bench.pass(1h);
  CHECK(bench.checks() == 1);
}
