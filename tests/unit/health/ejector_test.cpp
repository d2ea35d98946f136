// SPDX-License-Identifier: MIT
#include "health/ejector.h"

#include "balance/feedback.h"
#include "support/manual_clock.h"

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using namespace lemonade;
using health::EjectionSettings;
using health::Ejector;

namespace {

/// An ejector over a pool on a control loop of its own, and backends that fail on demand. Time is the test's; what
/// raises a suspicion returns when that has been judged.
class Bench {
 public:
  explicit Bench(int count, const EjectionSettings& settings = {.base_time = 1h, .max_time = 1h}) {
    for (int i = 0; i < count; ++i) {
      config::Backend backend;
      backend.id = std::to_string(i);
      backends.push_back(std::make_shared<Backend>(backend, *Address::parse("127.0.0.1:80"), 1));
    }
    (void)pool.setBackends(backends);
    loop.start();
    loop.run([&] {
      ejector.configure(settings);
      ejector.setBackends(backends);
    });
  }
  ~Bench() {
    loop.run([this] { ejector.stop(); });
    loop.stop();
  }

  /// Connects to it fail, one after the other, in a millisecond each.
  void fail(std::size_t index, int times, Backend::Failure how = Backend::Failure::kRefused) {
    for (int i = 0; i < times; ++i) {
      pass(1ms);
      feedback::failed(*backends[index], now(), how);
      pool.noteFailure(*backends[index]);
    }
    settle();
  }
  /// Sessions that it ends before it answers, by whoever's fault.
  void doubt(std::size_t index, int times, Backend::Failure how = Backend::Failure::kReset) {
    for (int i = 0; i < times; ++i) {
      feedback::doubted(*backends[index], how);
      pool.noteFailure(*backends[index]);
    }
    settle();
  }
  bool onTrial(std::size_t index) const { return backends[index]->trial() != nullptr; }
  /// A client that takes part in its trial.
  Trial::Part part(std::size_t index, Trial::Arm arm) { return {*backends[index]->trial(), arm}; }
  /// Clients that fail there, and three times as many that are answered elsewhere: with as many doubts, if it is on
  /// trial.
  void showFault(std::size_t index, int clients, Backend::Failure how = Backend::Failure::kReset) {
    for (int i = 0; i < clients; ++i) {
      for (int three = 0; three < 3; ++three) part(index, Trial::Arm::kElsewhere).answered();
      part(index, Trial::Arm::kHere).failed();
      doubt(index, 1, how);
    }
  }
  /// Puts it on trial and shows that it is at fault; true where it is ejected for that.
  bool convict(std::size_t index, Backend::Failure how = Backend::Failure::kReset) {
    doubt(index, 3, how);
    if (!onTrial(index)) return false;
    showFault(index, kProof, how);
    return out(index);
  }
  static constexpr int kProof = 5;
  /// Clients that wait so long for their first answer, there and elsewhere.
  std::vector<Trial::Part> wait(std::size_t index, int clients, Trial::Arm arm, Duration ago) {
    std::vector<Trial::Part> parts;
    for (int i = 0; i < clients; ++i) {
      parts.push_back(part(index, arm));
      parts.back().asked(now() - static_cast<std::uint64_t>(ago.count()));
    }
    return parts;
  }
  /// An exchange that began so long ago and has not been answered.
  void ask(std::size_t index, Duration ago) {
    feedback::exchangeStarted(*backends[index], now() - static_cast<std::uint64_t>(ago.count()));
  }
  void answer(std::size_t index, Duration took) {
    const std::uint64_t began = now() - static_cast<std::uint64_t>(took.count());
    feedback::exchangeStarted(*backends[index], began);
    feedback::exchangeAnswered(*backends[index], began, now());
  }
  std::uint64_t now() const { return time_.clock.nowNs(); }
  void pass(Duration time) { time_.pass(time); }
  /// The ejector has looked at all backends.
  void look() { pass(250ms); }
  /// A check of it that began now has ended.
  void check(std::size_t index, bool passed) {
    loop.run([&] { ejector.heardCheck(*backends[index], passed, now()); });
  }
  bool out(std::size_t index) const { return backends[index]->ejected(); }

 private:
  // Suspicions raised so far have been judged: the loop has waited since, and has handled all that it found.
  void settle() {
    for (int i = 0; i < 3; ++i) loop.run([] {});
  }

  test::ManualLoop time_;

 public:
  ControlLoop& loop = time_.loop;
  Quiescence quiescence{1};
  Pool pool{"default", quiescence, 1};
  View::Backends backends;
  int flips = 0;  // control thread
  Ejector ejector{loop, pool, [this](const std::shared_ptr<Backend>&) { ++flips; }};
};

}  // namespace

TEST_CASE("Ejector takes out a backend with too many connects in a row that fail and says why", "[health]") {
  Bench bench(3);
  bench.fail(0, 2);
  feedback::succeeded(*bench.backends[0]);
  bench.fail(0, 2);
  CHECK_FALSE(bench.out(0));
  bench.fail(0, 1);
  REQUIRE(bench.out(0));
  CHECK(bench.backends[0]->ejectionReason() == "3 failures in a row: connection refused");
  CHECK(bench.ejector.ejections() == 1);
  CHECK_FALSE(bench.out(1));
}

TEST_CASE("Ejector takes out a backend whose trial shows that clients fail there and not elsewhere", "[health]") {
  using enum Backend::Failure;
  Bench bench(3);
  bench.doubt(0, 2);
  CHECK_FALSE(bench.onTrial(0));
  bench.doubt(0, 1);
  REQUIRE(bench.onTrial(0));
  bench.showFault(0, Bench::kProof - 1);
  CHECK_FALSE(bench.out(0));
  bench.showFault(0, 1);
  REQUIRE(bench.out(0));
  CHECK(bench.backends[0]->ejectionReason() ==
        "5 failures in a row: reset before it answered, while 15 sent elsewhere were answered");
  CHECK_FALSE(bench.onTrial(0));
}

TEST_CASE("Ejector takes out nobody for clients that fail wherever they go", "[health]") {
  Bench bench(3);
  bench.doubt(0, 3);
  REQUIRE(bench.onTrial(0));
  SECTION("of which each fails on either side") {
    for (int i = 0; i < 100; ++i) {
      bench.part(0, Trial::Arm::kHere).failed();
      bench.part(0, Trial::Arm::kElsewhere).failed();
      bench.doubt(0, 1);
    }
  }
  SECTION("of which one alone fails, as often as it likes") {
    for (int i = 0; i < 1000; ++i) bench.part(0, Trial::Arm::kHere).failed();
    bench.doubt(0, 1000);
  }
  SECTION("of which some are answered there") {
    for (int i = 0; i < 100; ++i) {
      bench.part(0, Trial::Arm::kHere).failed();
      bench.part(0, Trial::Arm::kHere).answered();
      bench.part(0, Trial::Arm::kElsewhere).answered();
      bench.doubt(0, 1);
    }
  }
  CHECK_FALSE(bench.out(0));
}

TEST_CASE("Ejector ends a trial with the first answer and doubts shun nobody", "[health]") {
  Bench bench(3);
  bench.doubt(0, 5);
  REQUIRE(bench.onTrial(0));
  const auto& stats = bench.backends[0]->stats();
  CHECK(stats.fail_streak == 0);
  CHECK(stats.error_rate == 0);
  CHECK(stats.failed_at_ns == 0);
  feedback::forgetDoubts(*bench.backends[0]);
  bench.look();
  CHECK_FALSE(bench.onTrial(0));
}

TEST_CASE("Ejector never takes out more than its share nor the last one that is fit", "[health]") {
  Bench bench(4);
  for (std::size_t i = 0; i < 4; ++i) bench.fail(i, 3);
  CHECK(bench.ejector.ejections() == 2);

  Bench pair(2);
  (void)pair.backends[1]->setHealth(false, "test");
  pair.fail(0, 5);
  CHECK_FALSE(pair.out(0));
}

TEST_CASE("Ejector lets a backend back on probation and keeps it out longer each time", "[health]") {
  Bench bench(3, {.base_time = 10s, .max_time = 1h});
  bench.fail(0, 3);
  REQUIRE(bench.out(0));
  bench.pass(9'999ms);
  CHECK(bench.out(0));
  bench.pass(100ms);
  REQUIRE_FALSE(bench.out(0));
  // One that refuses is still as it was; one that a client says bad things of is on trial.
  CHECK(bench.onTrial(0));
  bench.doubt(0, 1);
  CHECK_FALSE(bench.out(0));
  bench.fail(0, 1);
  REQUIRE(bench.out(0));
  bench.pass(19'999ms);
  CHECK(bench.out(0));
  bench.pass(200ms);
  CHECK_FALSE(bench.out(0));
  CHECK(bench.flips == 4);
}

TEST_CASE("Ejector takes out a backend that owes answers far longer than the pool takes", "[health]") {
  Bench bench(3, {.base_time = 1h, .max_time = 1h, .unanswered_timeout = 1s});
  bench.answer(0, 5ms);
  bench.answer(1, 5ms);
  for (int i = 0; i < 3; ++i) bench.ask(2, 2s);
  bench.look();
  REQUIRE(bench.onTrial(2));
  auto owed = bench.wait(2, Bench::kProof, Trial::Arm::kHere, 2s);
  for (int i = 0; i < 3 * Bench::kProof; ++i) bench.part(2, Trial::Arm::kElsewhere).answered();
  bench.look();
  REQUIRE(bench.out(2));
  CHECK(bench.backends[2]->ejectionReason().find("owes 3 answers") == 0);
}

TEST_CASE("Ejector counts the answers that a client did not wait for", "[health]") {
  Bench bench(3, {.base_time = 1h, .max_time = 1h, .unanswered_timeout = 500ms});
  bench.answer(0, 5ms);
  for (int i = 0; i < 3; ++i) bench.ask(2, 1s);
  bench.look();
  REQUIRE(bench.onTrial(2));
  for (auto& part : bench.wait(2, Bench::kProof, Trial::Arm::kHere, 200ms)) part.left();
  for (int i = 0; i < 3 * Bench::kProof; ++i) bench.part(2, Trial::Arm::kElsewhere).answered();
  bench.look();
  CHECK_FALSE(bench.out(2));
  bench.look();
  CHECK(bench.out(2));
}

TEST_CASE("Ejector takes out nobody for clients who are owed answers wherever they go", "[health]") {
  Bench bench(3, {.base_time = 1h, .max_time = 1h, .unanswered_timeout = 100ms});
  bench.answer(0, 5ms);
  for (int i = 0; i < 3; ++i) bench.ask(2, 2s);
  bench.look();
  REQUIRE(bench.onTrial(2));
  std::vector<Trial::Part> parts;
  SECTION("as those that send half of a request") {
    for (const auto arm : {Trial::Arm::kHere, Trial::Arm::kElsewhere})
      for (auto& part : bench.wait(2, 15, arm, 1s)) parts.push_back(std::move(part));
    for (int i = 0; i < 3; ++i) bench.look();
  }
  SECTION("as those that still upload") {
    for (int i = 0; i < 3 * Bench::kProof; ++i) bench.part(2, Trial::Arm::kElsewhere).answered();
    parts = bench.wait(2, 15, Trial::Arm::kHere, 90ms);
    for (int i = 0; i < 30; ++i) {
      for (auto& part : parts) part.asked(bench.now());
      bench.pass(90ms);
    }
  }
  CHECK_FALSE(bench.out(2));
}

TEST_CASE("Ejector has a backend that came back from hanging on trial from the start", "[health]") {
  Bench bench(3, {.base_time = 3s, .max_time = 1h, .unanswered_timeout = 50ms});
  bench.answer(0, 1ms);
  bench.answer(1, 1ms);
  for (int i = 0; i < 3; ++i) bench.ask(2, 1s);
  bench.look();
  REQUIRE(bench.onTrial(2));
  bench.showFault(2, Bench::kProof);
  REQUIRE(bench.out(2));
  bench.pass(3'100ms);
  REQUIRE_FALSE(bench.out(2));
  CHECK(bench.onTrial(2));
  bench.showFault(2, Bench::kProof);
  REQUIRE(bench.out(2));
}

TEST_CASE("Ejector holds nothing from before against a backend that comes back", "[health]") {
  Bench bench(3, {.base_time = 1h, .max_time = 1h, .unanswered_timeout = 50ms});
  bench.answer(1, 1ms);
  bench.loop.run([&] { bench.ejector.setBackends({bench.backends[1], bench.backends[2]}); });
  bench.fail(0, 5);
  bench.doubt(0, 5);
  for (int i = 0; i < 3; ++i) bench.ask(0, 1s);
  bench.loop.run([&] { bench.ejector.setBackends(bench.backends); });
  for (int i = 0; i < 3; ++i) bench.ask(2, 1s);
  bench.look();
  REQUIRE(bench.onTrial(2));
  CHECK_FALSE(bench.onTrial(0));
  CHECK_FALSE(bench.out(0));
}

TEST_CASE("Ejector bears with slow answers where the whole pool is slow or nobody answers", "[health]") {
  Bench silent(2, {.base_time = 1h, .max_time = 1h, .unanswered_timeout = 10ms});
  for (int i = 0; i < 5; ++i) silent.ask(0, 10s);
  Bench slow(2, {.base_time = 1h, .max_time = 1h, .unanswered_timeout = 10ms});
  slow.answer(1, 30s);
  for (int i = 0; i < 5; ++i) slow.ask(0, 10s);
  Bench answered(2, {.base_time = 1h, .max_time = 1h, .unanswered_timeout = 10ms});
  for (int i = 0; i < 5; ++i) answered.ask(0, 10s);
  answered.answer(0, 5ms);
  Bench probe(2, {.base_time = 1h, .max_time = 1h, .unanswered_timeout = 10ms});
  probe.answer(1, 5ms);
  for (int i = 0; i < 3; ++i) probe.ask(0, 10s);
  for (Bench* bench : {&silent, &slow, &answered, &probe}) bench->look();
  CHECK(probe.onTrial(0));
  CHECK_FALSE(silent.onTrial(0));
  CHECK_FALSE(slow.onTrial(0));
  CHECK_FALSE(answered.onTrial(0));
}

TEST_CASE("Ejector lets everybody back where it is disabled and keeps records over a reload", "[health]") {
  Bench bench(3);
  bench.fail(0, 3);
  REQUIRE(bench.out(0));
  bench.loop.run([&] { bench.ejector.setBackends({bench.backends[0], bench.backends[1]}); });
  CHECK(bench.out(0));
  bench.loop.run([&] { bench.ejector.configure({.enabled = false}); });
  CHECK_FALSE(bench.out(0));
  bench.fail(0, 9);
  CHECK_FALSE(bench.out(0));
}

TEST_CASE("Ejector forgives a backend whose checks took it down and up again", "[health]") {
  Bench bench(3);
  bench.fail(0, 3);
  REQUIRE(bench.out(0));
  bench.loop.run([&] {
    CHECK(bench.ejector.forgive(*bench.backends[0]));
    CHECK_FALSE(bench.ejector.forgive(*bench.backends[1]));
  });
  CHECK_FALSE(bench.out(0));
}

TEST_CASE("Ejector lets a backend back as soon as checks pass where its connects had failed", "[health]") {
  using enum Backend::Failure;
  const auto how = GENERATE(kRefused, kTimeout, kConnectError);
  Bench bench(3, {.base_time = 1h, .max_time = 1h, .rise = 2});
  const std::uint64_t before = bench.now();
  bench.fail(0, 3, how);
  REQUIRE(bench.out(0));
  // One that began before says nothing about now.
  bench.loop.run([&] {
    for (int i = 0; i < 3; ++i) bench.ejector.heardCheck(*bench.backends[0], true, before);
  });
  bench.check(0, true);
  bench.check(0, false);
  bench.check(0, true);
  CHECK(bench.out(0));
  bench.check(0, true);
  CHECK_FALSE(bench.out(0));
  CHECK(bench.flips == 2);
  CHECK(bench.backends[0]->stats().fail_streak == 0);
}

TEST_CASE("Ejector voids failed connects that were too few to eject once checks pass", "[health]") {
  Bench bench(3, {.base_time = 1h, .max_time = 1h, .rise = 2});
  const auto& stats = bench.backends[0]->stats();
  bench.fail(0, 2, Backend::Failure::kRefused);
  bench.check(0, true);
  CHECK(stats.fail_streak == 2);
  bench.check(0, true);
  CHECK(stats.fail_streak == 0);
  CHECK(stats.error_rate == 0);

  // A failure in between voids what passed before it.
  bench.fail(0, 1, Backend::Failure::kRefused);
  bench.check(0, true);
  bench.fail(0, 1, Backend::Failure::kRefused);
  bench.check(0, true);
  CHECK(stats.fail_streak == 2);

  bench.doubt(1, 2);
  for (int i = 0; i < 3; ++i) bench.check(1, true);
  CHECK(feedback::doubts(*bench.backends[1]) == 2);
}

TEST_CASE("Ejector does not believe checks a second time", "[health]") {
  Bench bench(3, {.base_time = 1h, .max_time = 1h, .rise = 1});
  bench.fail(0, 3, Backend::Failure::kRefused);
  REQUIRE(bench.out(0));
  bench.check(0, true);
  REQUIRE_FALSE(bench.out(0));
  bench.fail(0, 3, Backend::Failure::kRefused);
  REQUIRE(bench.out(0));
  bench.check(0, true);
  bench.check(0, true);
  CHECK(bench.out(0));
}

TEST_CASE("Ejector keeps out a backend whose failures checks cannot see", "[health]") {
  using enum Backend::Failure;
  const auto how = GENERATE(kReset, kClosed);
  Bench bench(3, {.base_time = 1h, .max_time = 1h, .rise = 1});
  REQUIRE(bench.convict(0, how));
  for (int i = 0; i < 3; ++i) bench.check(0, true);
  CHECK(bench.out(0));
  bench.check(1, true);  // of one that is not ejected
  CHECK_FALSE(bench.out(1));
}

TEST_CASE("Ejector takes out an outlier that its trial convicts and has it on trial when it is back", "[health]") {
  Bench bench(4, {.base_time = 10s, .max_time = 1h, .failing_share = 0.1});
  const auto window = [&] {
    for (std::size_t i = 0; i < 4; ++i)
      for (int client = 0; client < 50; ++client) {
        (void)feedback::acquire(*bench.backends[i]);
        feedback::release(*bench.backends[i]);
        // Never many in a row.
        if (i == 0 && client % 4 == 0) feedback::doubted(*bench.backends[i], Backend::Failure::kReset);
        feedback::forgetDoubts(*bench.backends[i]);
      }
    bench.pass(2s);
    bench.look();
  };
  window();
  window();
  REQUIRE(bench.onTrial(0));
  const auto convict = [&] {
    for (int i = 0; i < 8; ++i) {
      bench.part(0, Trial::Arm::kHere).failed();
      for (int answered = 0; answered < 3; ++answered) bench.part(0, Trial::Arm::kHere).answered();
    }
    bench.look();
  };
  convict();
  REQUIRE(bench.out(0));
  CHECK(bench.backends[0]->ejectionReason() == "stands out: 8 clients failed, and 0 of those sent elsewhere");
  bench.pass(10'100ms);
  REQUIRE_FALSE(bench.out(0));
  feedback::forgetDoubts(*bench.backends[0]);  // it answers somebody
  bench.look();
  REQUIRE(bench.onTrial(0));
  convict();
  REQUIRE(bench.out(0));
  bench.pass(19s);
  CHECK(bench.out(0));
  bench.pass(1'500ms);
  CHECK_FALSE(bench.out(0));
}

TEST_CASE("Ejector has no more outliers on trial than it may eject", "[health]") {
  Bench bench(4, {.base_time = 10s, .max_time = 1h, .max_share = 0.25, .failing_share = 0.1});
  const auto window = [&] {
    for (std::size_t i = 0; i < 4; ++i)
      for (int client = 0; client < 50; ++client) {
        (void)feedback::acquire(*bench.backends[i]);
        feedback::release(*bench.backends[i]);
        if (i < 2 && client % 4 == 0) feedback::doubted(*bench.backends[i], Backend::Failure::kReset);
        feedback::forgetDoubts(*bench.backends[i]);
      }
    bench.pass(2s);
    bench.look();
  };
  window();
  window();
  CHECK(bench.onTrial(0) != bench.onTrial(1));
}
