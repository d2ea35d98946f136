// SPDX-License-Identifier: MIT
#include "health/outliers.h"

#include "balance/feedback.h"

#include <catch2/catch.hpp>

#include <string>

using namespace std::chrono_literals;
using namespace lemonade;
using health::Outliers;
using health::OutlierSettings;

namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

/// A pool whose backends fail and answer as the test says; one look is two seconds after the other.
class Bench {
 public:
  explicit Bench(int count, const OutlierSettings& settings = {.failing_share = 0.05, .slow_factor = 3}) {
    for (int i = 0; i < count; ++i) {
      config::Backend backend;
      backend.id = std::to_string(i);
      backends.push_back(std::make_shared<Backend>(backend, *Address::parse("127.0.0.1:80"), 1));
    }
    outliers.configure(settings);
    look();
  }

  /// So many clients come to it, of which some fail; the others are answered after so long.
  void serve(std::size_t index, int clients, int failing = 0, Duration answer = 5ms) {
    Backend& backend = *backends[index];
    for (int i = 0; i < clients; ++i) {
      (void)feedback::acquire(backend);
      feedback::release(backend);
      if (i < failing)
        feedback::doubted(backend, Backend::Failure::kReset);
      else
        backend.counters(0).exchange_time.record(static_cast<std::uint64_t>(answer.count()));
    }
  }
  void serveAll(int clients, int failing = 0, Duration answer = 5ms) {
    for (std::size_t i = 0; i < backends.size(); ++i) serve(i, clients, failing, answer);
  }
  void look(std::size_t places = 9) {
    now += 2 * kSecond;
    outliers.look(backends, now, places);
  }
  bool suspects(std::size_t index) const { return outliers.suspects(*backends[index]); }
  std::optional<std::string> weigh(std::size_t index, const Trial::Outcomes& outcomes) {
    return outliers.weigh(*backends[index], outcomes, now);
  }
  /// It is on trial for failing.
  void suspectOfFailing(std::size_t index) {
    for (std::size_t i = 0; i < backends.size(); ++i) serve(i, 100, i == index ? 30 : 0);
    look();
    REQUIRE(suspects(index));
  }

  /// All are served, and this one is very slow.
  void serveSlowly(std::size_t index) {
    for (std::size_t i = 0; i < backends.size(); ++i) serve(i, 100, 0, i == index ? 35ms : 5ms);
    look();
  }
  /// It is on trial for being slow.
  void suspectOfSlowness(std::size_t index) {
    serveSlowly(index);
    REQUIRE(suspects(index));
  }

  Outliers outliers;
  View::Backends backends;
  std::uint64_t now = 1'000 * kSecond;
};

}  // namespace

TEST_CASE("Outliers suspects the one that fails a larger share of its clients than the pool", "[health]") {
  Bench bench(4);
  bench.serveAll(100, 1);
  bench.serve(2, 100, 15);
  bench.look();
  CHECK(bench.suspects(2));
  for (const std::size_t sound : {0, 1, 3}) CHECK_FALSE(bench.suspects(sound));
}

TEST_CASE("Outliers suspects the one whose answers take several times as long", "[health]") {
  Bench bench(4);
  const auto serve = [&](Duration answer) {
    for (const std::size_t sound : {0, 1, 3}) bench.serve(sound, 100);
    bench.serve(2, 30, 0, answer);
    bench.look();
  };
  SECTION("twice as many times as was asked for") { serve(35ms); }
  SECTION("as many times in two windows in a row") {
    serve(16ms);
    CHECK_FALSE(bench.suspects(2));
    serve(5ms);
    serve(16ms);
    CHECK_FALSE(bench.suspects(2));
    serve(16ms);
  }
  CHECK(bench.suspects(2));
  CHECK(bench.outliers.slowNs(*bench.backends[2]) > 13'000'000);
}

TEST_CASE("Outliers suspects nobody whose answers take less than several times as long", "[health]") {
  Bench bench(4);
  for (int i = 0; i < 5; ++i) {
    for (const std::size_t sound : {0, 1, 3}) bench.serve(sound, 100);
    bench.serve(2, 100, 0, 12ms);
    bench.look();
    CHECK_FALSE(bench.suspects(2));
  }
}

TEST_CASE("Outliers is quiet where all fail or are slow together", "[health]") {
  Bench bench(4);
  bench.serveAll(100);
  bench.look();
  bench.serveAll(100, 30, 80ms);
  bench.look();
  for (std::size_t i = 0; i < 4; ++i) CHECK_FALSE(bench.suspects(i));
}

TEST_CASE("Outliers judges nobody by a few clients nor beside nobody", "[health]") {
  Bench few(4);
  const auto serveFew = [&] {
    for (std::size_t i = 0; i < 4; ++i) few.serve(i, 19, i == 2 ? 10 : 0);
    few.look();
  };
  serveFew();
  CHECK_FALSE(few.suspects(2));
  serveFew();  // they add up
  CHECK(few.suspects(2));

  Bench alone(1);
  alone.serve(0, 100, 50, 1s);
  alone.look();
  CHECK_FALSE(alone.suspects(0));
}

TEST_CASE("Outliers suspects no more than there are places for", "[health]") {
  Bench bench(8);
  bench.serveAll(100);
  for (const std::size_t bad : {0, 1, 2}) bench.serve(bad, 100, 50);
  bench.look(2);
  int suspects = 0;
  for (std::size_t i = 0; i < 8; ++i) suspects += bench.suspects(i);
  CHECK(suspects == 2);
}

TEST_CASE("Outliers convicts one where clients fail that are answered elsewhere", "[health]") {
  Bench bench(4);
  bench.suspectOfFailing(2);
  CHECK_FALSE(bench.weigh(2, {.failed_here = 7, .answered_here = 30, .answered_elsewhere = 120}));
  const auto reason = bench.weigh(2, {.failed_here = 1});
  REQUIRE(reason);
  CHECK(*reason == "stands out: 8 clients failed, and 0 of those sent elsewhere");
  CHECK_FALSE(bench.suspects(2));
  SECTION("and has it on trial again when it comes back") {
    bench.outliers.comesBack(*bench.backends[2], bench.now);
    CHECK(bench.suspects(2));
    CHECK(bench.weigh(2, {.failed_here = 8}));
  }
  SECTION("and not where it was forgiven meanwhile") {
    bench.outliers.forget(*bench.backends[2]);
    bench.outliers.comesBack(*bench.backends[2], bench.now);
    CHECK_FALSE(bench.suspects(2));
  }
}

TEST_CASE("Outliers convicts one whose answers are slow there and not elsewhere", "[health]") {
  Bench bench(4);
  bench.suspectOfSlowness(2);
  // Those that still wait behind the queue it had say nothing.
  CHECK_FALSE(bench.weigh(2, {.answered_here = 40, .slow_here = 40}));
  bench.now += kSecond;
  // Failures are another matter.
  CHECK_FALSE(bench.weigh(2, {.failed_here = 30}));
  const auto reason =
      bench.weigh(2, {.answered_here = 20, .answered_elsewhere = 100, .slow_here = 10, .slow_elsewhere = 2});
  REQUIRE(reason);
  CHECK(*reason == "stands out: 10 clients waited longer than 13.5ms for their answer, and 2 of those sent elsewhere");
}

TEST_CASE("Outliers acquits one that is as fast as the others with fewer clients", "[health]") {
  Bench bench(4);
  bench.suspectOfSlowness(2);
  bench.now += kSecond;
  CHECK_FALSE(bench.weigh(2, {.answered_here = 29, .slow_here = 1}));
  CHECK(bench.suspects(2));
  CHECK_FALSE(bench.weigh(2, {.answered_here = 1}));
  CHECK_FALSE(bench.suspects(2));
  // Nor is another one suspected for a while: its queue may be as long by chance.
  bench.serveSlowly(1);
  CHECK_FALSE(bench.suspects(1));
  bench.now += 10 * kSecond;
  bench.serveSlowly(1);
  CHECK(bench.suspects(1));
}

TEST_CASE("Outliers suspects one that is so far behind that nobody waits for its answers any more", "[health]") {
  Bench bench(4);
  for (int i = 0; i < 20; ++i) feedback::exchangeStarted(*bench.backends[2], bench.now);
  for (const std::size_t sound : {0, 1, 3}) bench.serve(sound, 100);
  for (int i = 0; i < 30; ++i) (void)feedback::acquire(*bench.backends[2]);
  bench.look();
  CHECK(bench.suspects(2));
}

TEST_CASE("Outliers acquits one whose clients fail wherever they go and leaves it alone for longer each time",
          "[health]") {
  Bench bench(4, {.failing_share = 0.05, .rest = 10s});
  const auto acquit = [&] {
    bench.suspectOfFailing(2);
    // As the coin shares them out.
    for (int i = 0; i < 4; ++i) CHECK_FALSE(bench.weigh(2, {.failed_here = 1, .failed_elsewhere = 3}));
    CHECK_FALSE(bench.suspects(2));
  };
  const auto staysAlone = [&](int looks) {
    for (int i = 0; i < looks; ++i) {
      for (std::size_t at = 0; at < 4; ++at) bench.serve(at, 100, at == 2 ? 30 : 0);
      bench.look();
      CHECK_FALSE(bench.suspects(2));
    }
  };
  acquit();
  staysAlone(4);
  acquit();
  staysAlone(9);
  acquit();
}

TEST_CASE("Outliers acquits one that shows nothing to many clients", "[health]") {
  Bench bench(4);
  bench.suspectOfFailing(2);
  CHECK_FALSE(bench.weigh(2, {.failed_here = 3, .answered_here = Outliers::kMostAnswers - 4}));
  CHECK(bench.suspects(2));
  CHECK_FALSE(bench.weigh(2, {.answered_here = 1}));
  CHECK_FALSE(bench.suspects(2));
}

TEST_CASE("Outliers suspects nobody of what is switched off", "[health]") {
  Bench off(4, {});
  Bench slow_only(4, {.slow_factor = 3});
  for (Bench* bench : {&off, &slow_only}) {
    bench->serveAll(100);
    bench->serve(1, 100, 50);
    bench->look();
    CHECK_FALSE(bench->suspects(1));
  }
  Bench bench(4);
  bench.suspectOfFailing(2);
  bench.outliers.configure({.slow_factor = 3});
  CHECK_FALSE(bench.suspects(2));
}
