// SPDX-License-Identifier: MIT
//
// Faults that come late: a plugin that behaves at first and turns after so many calls or so much time. The clocks move
// on while it is called, by a second, a minute, a day and a year: what would take that long shows at once. Under a
// sanitizer they do not, and only the number of calls counts.
#include "plugin/float_control.h"
#include "validate/moved_clock.h"
#include "validate/probe_run.h"
#include "validate/sink_run.h"
#include "validate/strategy_run.h"

#include <algorithm>
#include <cstdio>
#include <iterator>

namespace lemonade::validate {

namespace {

using namespace std::chrono_literals;

constexpr const char* kTurns = "look for what changes with the time or with the number of calls";
constexpr const char* kBlocks = "wait for nothing there: whoever is served by the same thread waits, too";
constexpr std::uint64_t kLongestCall = 1'000'000'000;  // ns; a busy machine takes its time, too

/// "12,345".
std::string grouped(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (auto at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > 0; at -= 3)
    text.insert(static_cast<std::size_t>(at), ",");
  return text;
}

std::string timeText(Duration time) {
  char text[32];
  const double seconds = std::chrono::duration<double>(time).count();
  if (seconds < 120)
    std::snprintf(text, sizeof(text), "%.3g s", seconds);
  else if (seconds < 7'200)
    std::snprintf(text, sizeof(text), "%.3g minutes", seconds / 60);
  else if (seconds < 172'800)
    std::snprintf(text, sizeof(text), "%.3g hours", seconds / 3'600);
  else
    std::snprintf(text, sizeof(text), "%.3g days", seconds / 86'400);
  return text;
}

/// So many calls in a row, over which the clocks move on: slowly in the first quarter, and ever faster.
class LongRun {
 public:
  LongRun(const char* what, std::uint32_t count) : what_(what), count_(count) {}

  /// Moves the clocks for the next call; false where there are no more.
  bool next() {
    if (done_ == count_) return false;
    constexpr Duration kQuarters[] = {1s, 60s, 24h, 24h * 365};
    const auto quarter = std::min<std::size_t>(std::size(kQuarters) - 1, std::size_t{done_} * 4 / count_);
    moveClocks(kQuarters[quarter] * 4 / count_);
    if (done_++ % kTold == 0) progress(soFar());
    return true;
  }

  /// Calls, and requires that it does not take long and leaves the floating-point unit alone.
  template <class Call>
  auto timed(Call call) {
    const auto before = nowNs();
    auto answer = call();
    const auto took = nowNs() - before;
    requireSameArithmetic();
    require(took < kLongestCall,
            std::string("it takes ") + timeText(Duration(took)) + " for one of the " + what_ + " " + soFar(), kBlocks);
    return answer;
  }

  /// "after 12,345 picks, the clocks 34 s ahead".
  std::string soFar() const {
    return "after " + grouped(done_ == 0 ? 0 : done_ - 1) + " " + what_ + ", the clocks " + timeText(clocksMoved()) +
           " ahead";
  }
  std::uint32_t done() const noexcept { return done_; }

 private:
  static constexpr std::uint32_t kTold = 100;

  void requireSameArithmetic() const {
    const auto now = plugin::FloatControl::now();
    if (now == arithmetic_) return;
    arithmetic_.use();  // the words that follow take some
    const auto change = arithmetic_.changesIn(now).front();
    throw Fault{"it " + change.text + " " + soFar(), change.mend};
  }

  const plugin::FloatControl arithmetic_ = plugin::FloatControl::now();
  const char* what_;
  const std::uint32_t count_;
  std::uint32_t done_ = 0;
};

/// Whether a strategy that has given backends stops to.
class Answers {
 public:
  void note(bool given, const LongRun& run) {
    ++asked_;
    given_ += given ? 1 : 0;
    if (asked_ < kTogether) return;
    const bool none = given_ == 0;
    gave_ = gave_ || !none;
    in_vain_ = none ? in_vain_ + 1 : 0;
    asked_ = given_ = 0;
    require(!gave_ || in_vain_ < kInVain,
            "it gives no backend any more, though all of them may be picked: for the last " +
                grouped(kTogether * kInVain) + " picks, " + run.soFar(),
            kTurns);
  }

 private:
  static constexpr std::uint32_t kTogether = 1'000;
  static constexpr std::uint32_t kInVain = 3;
  std::uint32_t asked_ = 0, given_ = 0, in_vain_ = 0;
  bool gave_ = false;
};

Outcome picks(const Subject& subject) {
  constexpr std::uint32_t kPerView = 1'000;
  const Code code(subject);
  StrategyRun run(subject, code);
  Scene some(equals(8)), others(equals(9), 0, 3);
  Scene* scene = &some;
  Answers answers;
  for (LongRun all("picks", subject.times(100'000)); all.next();) {
    const auto i = all.done() - 1;
    if (i % kPerView == 0) {
      scene = scene == &some ? &others : &some;
      all.timed([&] {
        run.show(*scene);
        return true;
      });
    }
    const auto index = all.timed([&] { return run.pick(scrambled(subject.seed, i)); });
    const bool given = index < LEMONADE_PICK_REJECT;
    require(!given || scene->eligible(index),
            "it answers " + std::to_string(index) + " of " + std::to_string(scene->size()) + " backends " + all.soFar(),
            kTurns);
    answers.note(given, all);
    if (given && i % 10 == 0) run.tell(scene->identity(index), false, run.cookie());
  }
  run.showUnprepared(*scene);
  return pass();
}

/// One probe: what backends of some kind answer, and to which verdict that came at first.
struct Answered {
  const char* text;
  std::uint32_t verdict = 0;
};

Outcome probes(const Subject& subject) {
  const Code code(subject);
  const Live<lemonade_health_checker_t> checker(subject, code);
  Answered answered[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"}, {"+PONG\r\n"}, {"OK\n"}};
  for (LongRun all("probes", subject.times(2'000)); all.next();) {
    const auto i = all.done() - 1;
    auto& answer = answered[i % std::size(answered)];
    const auto verdict = all.timed([&] {
      ProbeRun probe(checker);
      probe.connected();
      probe.data(answer.text);
      probe.eof();
      return probe.what();
    });
    if (i < std::size(answered)) answer.verdict = verdict;
    require(verdict == answer.verdict,
            "the same answer of a backend comes to verdict " + std::to_string(verdict) + " " + all.soFar() +
                "; at first to " + std::to_string(answer.verdict),
            kTurns);
  }
  return pass();
}

Outcome flushes(const Subject& subject) {
  const Code code(subject);
  const Live<lemonade_metrics_sink_t> sink(subject, code);
  const auto& table = sink.table();
  Snapshot snapshot(3, {"web-1"}, {});
  Records records(10, {"web"}, 1);
  Guarded<lemonade_error_t> error(0);
  // Whom it pushes to is not there, and it may wait for that: the time that all of it takes is bounded, too.
  const auto enough = unmovedNs() + (subject.thorough ? 20'000'000'000 : 2'000'000'000);
  for (LongRun all("turns", subject.times(1'000)); all.next() && unmovedNs() < enough;) {
    const auto deadline = [] { return nowNs() + kLongestCall / 2; };
    stage("flushing");
    if (table.flush != nullptr)
      all.timed([&] { return table.flush(sink.self(), snapshot.get(), deadline(), error.get()); });
    stage("taking session records");
    if (takesRecords(table))
      all.timed([&] { return table.session_records(sink.self(), records.get(), deadline(), error.get()); });
    stage("rendering");
    if (table.render == nullptr) continue;
    Reader reader;
    const auto writer = reader.writer();
    const auto status =
        all.timed([&] { return table.render(sink.self(), snapshot.get(), str(""), &writer, error.get()); });
    require(status == LEMONADE_OK, "it cannot render a snapshot any more " + all.soFar(), kTurns);
  }
  return pass();
}

constexpr Check kChecks[] = {
    {"late.picks", "goes on as it began, for 100,000 picks and a year", kTurns, picks, "process.calls",
     LEMONADE_KIND_STRATEGY, false, true},
    {"late.probes", "goes on as it began, for 2,000 probes and a year", kTurns, probes, "process.calls",
     LEMONADE_KIND_HEALTH_CHECKER, false, true},
    {"late.flushes", "goes on as it began, for 1,000 turns and a year", kTurns, flushes, "process.calls sink.large",
     LEMONADE_KIND_METRICS_SINK, false, true},
};

}  // namespace

std::span<const Check> lateChecks() { return kChecks; }

}  // namespace lemonade::validate
