// SPDX-License-Identifier: MIT
#include "health/monitor.h"

#include "loopback.h"
#include "scripted_checker.h"

#include <sys/resource.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <future>
#include <map>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace lemonade;
using health::CheckSettings;
using health::Monitor;
using test::Port;
using test::ScriptedChecker;

namespace {

using Backends = std::vector<std::shared_ptr<Backend>>;

/// A monitor on a control loop of its own. What happens there is read there, too: see at(). What a script refers to
/// outlives the bench.
class Bench {
 public:
  struct Flip {
    std::string id;
    bool up;
    std::string reason;
    std::uint64_t after_checks;
  };

  explicit Bench(const CheckSettings& settings = {.interval = 10ms, .timeout = 2s, .rise = 2, .fall = 3}) {
    monitor.configure(settings);
    loop.start();
  }
  ~Bench() {
    loop.run([this] {
      monitor.stop();
      checker.reset();
    });
    loop.stop();
    CHECK(script.begun == script.ended);
    CHECK(script.destroyed == 1);
    CHECK_FALSE(script.broken);
  }

  void watch(const Backends& backends) {
    loop.run([&] {
      monitor.setChecker(checker);
      monitor.setBackends(backends);
    });
  }
  /// Waits until reached() holds, which the control thread is asked between its tasks.
  bool eventually(const std::function<bool()>& reached, std::chrono::milliseconds within = 5s) {
    std::promise<void> met;
    ControlLoop::TimerId timer = 0;
    loop.run([&] {
      timer = loop.every(1ms, [&] {
        if (!reached()) return;
        loop.cancel(timer);
        met.set_value();
      });
    });
    const bool done = met.get_future().wait_for(within) == std::future_status::ready;
    loop.run([&] { loop.cancel(timer); });
    return done;
  }
  /// A value of the control thread's.
  template <class F>
  auto at(F read) {
    decltype(read()) value{};
    loop.run([&] { value = read(); });
    return value;
  }
  std::uint64_t checks() const { return monitor.counters().checks.value(); }

  ScriptedChecker script;
  std::shared_ptr<health::Checker> checker = script.instance();
  std::vector<Flip> flips;
  std::function<void()> on_flip = [] {};
  ControlLoop loop;
  Monitor monitor{loop, [this](const std::shared_ptr<Backend>& backend) {
                    flips.push_back({backend->id(), backend->healthy(), backend->healthReason(), checks()});
                    on_flip();
                  }};
};

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
  REQUIRE(b.eventually([&] { return !b.flips.empty(); }));
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
  REQUIRE(b.eventually([&] { return b.flips.size() == 1; }));
  port->listen();
  REQUIRE(b.eventually([&] { return b.flips.size() == 2; }));
  CHECK(b.at([&] { return b.flips[1].up; }));
  CHECK(b.at([&] { return backend->healthReason(); }).empty());
  port.reset();
  REQUIRE(b.eventually([&] { return b.flips.size() == 3; }));
  CHECK(b.at([&] { return b.flips[2].reason; }) == "connection refused");
}

TEST_CASE("Monitor counts rise and fall exactly and tells each flip once", "[health][monitor]") {
  const Port port(Port::Kind::kListening);
  Bench b;
  b.script.on_event = verdicts("PFFPFFFPFPPFFFF");
  b.watch({port.backend()});
  REQUIRE(b.eventually([&] { return b.checks() >= 20; }));
  const auto flips = b.at([&] { return b.flips; });
  REQUIRE(flips.size() == 3);
  // Up with 4 of 4, F 3, F 2, P 3, F 2, F down.
  CHECK((!flips[0].up && flips[0].after_checks == 6));
  CHECK((flips[1].up && flips[1].after_checks == 11));
  CHECK((!flips[2].up && flips[2].after_checks == 14));
}

TEST_CASE("Monitor counts a degraded backend as up and shows why", "[health][monitor]") {
  const Port port(Port::Kind::kListening);
  const auto backend = port.backend();
  Bench b;
  b.script.on_event = [](const auto&) { return sdk::degraded("replica lags"); };
  b.watch({backend});
  REQUIRE(b.eventually([&] { return b.checks() >= 3; }));
  CHECK(backend->healthy());
  CHECK(backend->healthReason() == "replica lags");
  CHECK(b.at([&] { return b.flips.empty(); }));
  CHECK(b.monitor.counters().failures.value() == 0);
}

TEST_CASE("Monitor ends a check that outlasts its timeout", "[health][monitor]") {
  const Port port(Port::Kind::kListening);
  std::uint64_t elapsed_ns = 0;
  Bench b({.interval = 5ms, .timeout = 30ms, .rise = 1, .fall = 1});
  b.script.on_event = [&](const auto& event) {
    if (event.type == LEMONADE_PROBE_TIMEOUT) elapsed_ns = event.elapsed_ns;
    return sdk::wait();
  };
  b.watch({port.backend()});
  REQUIRE(b.eventually([&] { return b.flips.size() == 1; }));
  CHECK(b.at([&] { return b.flips[0].reason; }) == "timed out after 30ms");
  CHECK(b.at([&] { return elapsed_ns; }) >= 30'000'000);
}

TEST_CASE("Monitor never checks a backend twice at once", "[health][monitor]") {
  const Port port(Port::Kind::kListening);
  Bench b({.interval = 2ms, .timeout = 25ms, .rise = 2, .fall = 3});
  b.script.on_event = ScriptedChecker::waitForEver;
  const Backends backends = {port.backend("a"), port.backend("b")};
  b.watch(backends);
  for (int i = 0; i < 5; ++i) {
    const auto begun = b.at([&] { return b.script.begun; });
    b.loop.run([&] {
      b.monitor.setBackends(backends);
      b.monitor.configure({.interval = 1ms + i * 1ms, .timeout = 25ms, .rise = 2, .fall = 3});
    });
    REQUIRE(b.eventually([&] { return b.script.begun >= begun + 2; }));
  }
  CHECK_FALSE(b.at([&] { return b.script.broken; }));
}

TEST_CASE("Monitor spreads the first checks over one interval", "[health][monitor]") {
  constexpr int kBackends = 50;
  const Port port(Port::Kind::kListening);
  Backends backends;
  for (int i = 0; i < kBackends; ++i) backends.push_back(port.backend("web-" + std::to_string(i)));
  std::map<std::uint64_t, std::uint64_t> begun_ns;  // of the first check, by identity
  Bench b({.interval = 200ms, .timeout = 2s, .rise = 2, .fall = 3});
  b.script.on_begin = [&](const auto& target) {
    begun_ns.emplace(target.identity, target.now_ns);
    return sdk::wait();
  };
  const auto start = nowNs();
  b.watch(backends);
  REQUIRE(b.eventually([&] { return begun_ns.size() >= kBackends; }));
  // No check comes before its turn, so at any moment no more have begun than have had one.
  std::vector<std::uint64_t> times;
  for (const auto& [identity, time] : b.at([&] { return begun_ns; })) times.push_back(time - start);
  std::sort(times.begin(), times.end());
  for (std::size_t i = 0; i < kBackends; ++i) CHECK(times[i] >= i * 200'000'000 / kBackends);
}

TEST_CASE("Monitor bounds how many checks run at once and lets the others follow", "[health][monitor]") {
  constexpr int kBackends = 300;
  const Port port(Port::Kind::kListening);
  Backends backends;
  for (int i = 0; i < kBackends; ++i) backends.push_back(port.backend("web-" + std::to_string(i)));
  std::size_t most = 0;
  Bench b({.interval = 20ms, .timeout = 100ms, .rise = 1, .fall = 1});
  b.script.on_begin = [&](const auto&) {
    most = std::max(most, static_cast<std::size_t>(b.script.begun - b.script.ended));
    return sdk::wait();
  };
  b.script.on_event = ScriptedChecker::waitForEver;
  b.watch(backends);
  REQUIRE(b.eventually([&] { return b.flips.size() == kBackends; }));
  CHECK(b.at([&] { return most; }) == Monitor::kMaxRunning);
  // Room made by forgetting backends is used, too.
  b.loop.run([&] { b.monitor.setBackends({backends.begin() + 200, backends.end()}); });
  const auto begun = b.at([&] { return b.script.begun; });
  CHECK(b.eventually([&] { return b.script.begun >= begun + 200; }));
}

TEST_CASE("Monitor forgets a backend in the middle of its check", "[health][monitor]") {
  const Port port(Port::Kind::kListening);
  auto backend = port.backend();
  Bench b;
  b.script.on_event = ScriptedChecker::waitForEver;
  b.watch({backend});
  REQUIRE(b.eventually([&] { return b.script.begun == 1; }));
  b.loop.run([&] { b.monitor.setBackends({}); });
  CHECK(b.at([&] { return b.script.ended; }) == 1);
  CHECK(b.checks() == 0);
  CHECK(backend.use_count() == 1);
}

TEST_CASE("Monitor ends its checks on the checker that began them", "[health][monitor]") {
  const Port port(Port::Kind::kListening);
  const auto backend = port.backend();
  Bench b;
  b.script.on_event = ScriptedChecker::waitForEver;
  b.watch({backend});
  REQUIRE(b.eventually([&] { return b.script.begun == 1; }));
  ScriptedChecker successor;
  b.loop.run([&] {
    b.checker.reset();
    b.monitor.setChecker(successor.instance());
  });
  CHECK(b.at([&] { return b.script.ended; }) == 1);
  CHECK(b.at([&] { return b.script.destroyed; }) == 1);
  CHECK(b.eventually([&] { return b.checks() >= 2; }));
  b.loop.run([&] { b.monitor.setChecker(nullptr); });
  CHECK(successor.destroyed == 1);
  CHECK(successor.begun == successor.ended);
  CHECK(successor.begun >= 2);
}

TEST_CASE("Monitor checks nothing without a checker and everything once it has one", "[health][monitor]") {
  const Port port(Port::Kind::kListening);
  Bench b;
  b.loop.run([&] { b.monitor.setBackends({port.backend("a"), port.backend("b")}); });
  CHECK(b.at([&] { return b.script.begun; }) == 0);
  b.loop.run([&] { b.monitor.setChecker(b.checker); });
  CHECK(b.eventually([&] { return b.checks() >= 4; }));
}

TEST_CASE("Monitor keeps what it knows of a backend over a reload", "[health][monitor]") {
  const Port port(Port::Kind::kListening);
  const Port other(Port::Kind::kListening);
  const Backends before = {port.backend("stays")};
  const Backends after = {before[0], before[0], other.backend("new")};
  int of_stays = 0;
  Bench b;
  b.script.on_begin = [&](const auto& target) {
    const bool stays = std::string_view(target.id.data, target.id.size) == "stays";
    of_stays += stays ? 1 : 0;
    // The reload comes between the second check of the one that stays and the third.
    if (stays && of_stays == 2) b.loop.post([&] { b.monitor.setBackends(after); });
    if (!stays || of_stays == 1) return sdk::pass();
    return sdk::fail("scripted");
  };
  b.watch(before);
  REQUIRE(b.eventually([&] { return !b.flips.empty(); }));
  CHECK(b.at([&] { return b.flips[0].id; }) == "stays");
  CHECK(b.at([&] { return of_stays; }) >= 4);
  CHECK(after[2]->healthy());
}

TEST_CASE("Monitor takes a shorter interval at once", "[health][monitor]") {
  const Port port(Port::Kind::kListening);
  Bench b({.interval = 1h, .timeout = 2s, .rise = 2, .fall = 3});
  b.watch({port.backend()});
  REQUIRE(b.eventually([&] { return b.checks() == 1; }));
  b.loop.run([&] { b.monitor.configure({.interval = 10ms, .timeout = 2s, .rise = 2, .fall = 3}); });
  CHECK(b.eventually([&] { return b.checks() >= 4; }));
}

TEST_CASE("Monitor has an interval for each of up and down and changing and takes new ones at once",
          "[health][monitor]") {
  const Port port(Port::Kind::kListening);
  const auto settings = [](Duration interval, Duration fast, Duration down) {
    return CheckSettings{interval, 2s, 2, 3, fast, down};
  };
  Bench b(settings(1h, 1h, 5ms));
  const auto stopsAt = [&](std::uint64_t checks) {
    return b.eventually([&] { return b.checks() == checks; }) &&
           !b.eventually([&] { return b.checks() > checks; }, 50ms);
  };
  const auto configure = [&](const CheckSettings& now) { b.loop.run([&] { b.monitor.configure(now); }); };
  b.script.on_event = verdicts("FPPFFFF");
  b.watch({port.backend()});
  CHECK(stopsAt(2));  // down was short, on the way up is long
  configure(settings(1h, 5ms, 1h));
  CHECK(stopsAt(3));  // up
  configure(settings(5ms, 1h, 1h));
  CHECK(stopsAt(4));  // on the way down
  configure(settings(1h, 5ms, 1h));
  CHECK(stopsAt(6));  // down
  configure(settings(5ms, 1h, 0ms));
  CHECK(b.eventually([&] { return b.checks() >= 9; }));  // 0 means interval
}

TEST_CASE("Monitor checks a backend that changes five times as often unless told otherwise", "[health][monitor]") {
  const Port port(Port::Kind::kListening);
  // 1.5 s from one check to the next; while the backend is on its way down or up 300 ms, give or take 10 %.
  Bench b({.interval = 1500ms, .timeout = 2s, .rise = 2, .fall = 2});
  b.script.on_event = verdicts("PFFPP");
  b.watch({port.backend()});
  REQUIRE(b.eventually([&] { return b.checks() == 2; }));  // one failed: on its way
  CHECK(b.eventually([&] { return b.checks() == 3; }, 1s));
  CHECK_FALSE(b.eventually([&] { return b.checks() == 4; }, 800ms));
}

TEST_CASE("Monitor checks disabled backends and leaves unresolved ones alone", "[health][monitor]") {
  const Port port(Port::Kind::kRefusing);
  const auto disabled = port.backend("disabled", false);
  const config::Backend settings{.id = "unresolved", .name = "", .host = "nowhere", .port = 80};
  const auto unresolved = std::make_shared<Backend>(settings, Address(), 1);
  Bench b;
  b.watch({unresolved, disabled});
  REQUIRE(b.eventually([&] { return b.checks() >= 3; }));
  CHECK(b.at([&] { return b.flips.size(); }) == 1);
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
    b.watch(backends);
    REQUIRE(b.eventually([&] { return !b.flips.empty(); }));
    CHECK(b.at([&] { return b.script.begun == b.script.ended; }));
  }
  SECTION("stop") {
    b.on_flip = [&] { b.monitor.stop(); };
    b.watch(backends);
    REQUIRE(b.eventually([&] { return !b.flips.empty(); }));
    CHECK(b.at([&] { return b.script.begun == b.script.ended; }));
  }
}

TEST_CASE("Monitor puts checks off while descriptors are exhausted", "[health][monitor]") {
  const Port port(Port::Kind::kListening);
  const auto backend = port.backend();
  Bench b({.interval = 10ms, .timeout = 2s, .rise = 1, .fall = 1});
  b.watch({backend});
  REQUIRE(b.eventually([&] { return b.checks() >= 1; }));
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  const bool skipped = b.eventually([&] { return b.monitor.counters().skipped.value() >= 3; });
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(skipped);
  CHECK(backend->healthy());
  const auto checks = b.checks();
  CHECK(b.eventually([&] { return b.checks() >= checks + 2; }));
  CHECK(b.monitor.counters().failures.value() == 0);
}

TEST_CASE("Monitor keeps what it found where the checker itself fails and counts that apart", "[health][monitor]") {
  const Port a(Port::Kind::kListening);
  const auto backend = a.backend();
  Bench bench;
  SECTION("of a backend that was up") {
    bench.script.begin_status = LEMONADE_ERROR_FAILED;
    bench.watch({backend});
    REQUIRE(bench.eventually([&] { return bench.monitor.counters().broken.value() >= 5; }));
    CHECK(backend->healthy());
  }
  SECTION("of a backend that was down") {
    bench.script.on_event = ScriptedChecker::failWhenConnected;
    bench.watch({backend});
    REQUIRE(bench.eventually([&] { return !backend->healthy(); }));
    bench.loop.run(
        [&] { bench.script.on_event = [](const auto&) { return sdk::fail("the checker threw an exception"); }; });
    REQUIRE(bench.eventually([&] { return bench.monitor.counters().broken.value() >= 5; }));
    CHECK_FALSE(backend->healthy());
    CHECK(backend->healthReason() == "scripted");
  }
}

TEST_CASE("Monitor gives a new backend no clients before its first check where it is told so", "[health][monitor]") {
  const Port a(Port::Kind::kListening), b(Port::Kind::kListening);
  const auto old = a.backend("old"), young = b.backend("young");
  CheckSettings settings{.interval = 10ms, .timeout = 2s, .rise = 2, .fall = 3};
  Bench bench(settings);
  bench.watch({old});
  REQUIRE(bench.eventually([&] { return bench.checks() > 0; }));
  settings.initial = config::Initial::kCheck;
  bench.loop.run([&] {
    bench.script.on_event = ScriptedChecker::waitForEver;
    bench.monitor.configure(settings);
    bench.monitor.setBackends({old, young});
    CHECK(old->healthy());
    CHECK_FALSE(young->healthy());
    CHECK(young->healthReason() == "not checked yet");
    CHECK_FALSE(bench.monitor.allChecked());
    bench.script.on_event = ScriptedChecker::passWhenConnected;
  });
  CHECK(bench.eventually([&] { return young->healthy() && bench.monitor.allChecked(); }));
}

TEST_CASE("Monitor calls everybody up where nothing is checked any more", "[health][monitor]") {
  const Port a(Port::Kind::kRefusing), b(Port::Kind::kListening);
  const auto dead = a.backend("dead"), added = b.backend("added");
  CheckSettings settings{.interval = 10ms, .timeout = 2s, .rise = 2, .fall = 3};
  Bench bench(settings);
  bench.watch({dead});
  REQUIRE(bench.eventually([&] { return !dead->healthy(); }));
  settings.checks = false;
  bench.loop.run([&] {
    bench.monitor.configure(settings);
    bench.monitor.setBackends({dead, added});
    bench.monitor.setChecker(nullptr);
  });
  const auto checks = bench.checks();
  CHECK(bench.eventually([&] { return bench.flips.size() == 2; }));
  CHECK(dead->healthy());
  CHECK(dead->healthReason() == "not checked");
  CHECK(added->healthReason() == "not checked");
  CHECK_FALSE(bench.eventually([&] { return bench.checks() != checks; }, 100ms));
}
