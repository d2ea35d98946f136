// SPDX-License-Identifier: MIT
//
// What a plugin leaves of the process: signals, floating-point unit, locale, environment, folder, limits, descriptors,
// threads and children are compared before and after an instance is made, called and ended. load.quiet does the same
// for loading, and the preflight of a balancer all of it.
#include "plugin/process_state.h"
#include "validate/probe_run.h"
#include "validate/sink_run.h"
#include "validate/strategy_run.h"

#include <exception>
#include <latch>
#include <thread>

namespace lemonade::validate {

namespace {

using plugin::Moment;
using plugin::ProcessState;

bool mayBeUnmapped(const Subject& subject) { return (subject.loadable->flags & LEMONADE_FLAG_UNLOAD_SAFE) != 0; }

void requireUnchanged(const Subject& subject, const ProcessState& before, Moment moment) {
  const bool may_go = mayBeUnmapped(subject);
  stage("the process is looked at");
  const auto after = moment == Moment::kEnded ? ProcessState::afterEnd(before, !may_go) : ProcessState::now();
  if (const auto change = before.changeIn(after, {moment, may_go, subject.loadable->id}))
    throw Fault{"it " + change->text, change->mend};
}

Outcome created(const Subject& subject) {
  const Code code(subject);
  forEachKind(code.kinds(), [&]<class Table>(std::type_identity<Table>) {
    const auto before = ProcessState::now();
    {
      const Live<Table> once(subject, code);
      requireUnchanged(subject, before, Moment::kCreated);
    }
    requireUnchanged(subject, before, Moment::kEnded);
  });
  return pass();
}

// What a host calls, for each kind. Nothing is prepared for a strategy: that is the control thread's.

void use(StrategyRun& run, Scene& scene, const Subject& subject) {
  for (std::uint32_t i = 0; i < 100; ++i)
    if (const auto index = run.usablePick(scrambled(subject.seed, i)); index < scene.size())
      run.tell(scene.identity(index), false, run.cookie());
}

void use(const Live<lemonade_health_checker_t>& checker) {
  for (const char* answer : {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "nonsense"}) {
    ProbeRun probe(checker);
    probe.connected();
    probe.data(answer);
    probe.eof();
  }
}

void use(const Live<lemonade_metrics_sink_t>& sink) {
  const auto& table = sink.table();
  Snapshot snapshot(5, {"web-1"}, {});
  Guarded<lemonade_error_t> error(0);
  Reader reader;
  const auto writer = reader.writer();
  stage("flushing");
  if (table.flush != nullptr) (void)table.flush(sink.self(), snapshot.get(), nowNs() + 1'000'000'000, error.get());
  stage("rendering");
  if (table.render != nullptr) (void)table.render(sink.self(), snapshot.get(), str(""), &writer, error.get());
}

/// Makes an instance, has it called by `calls` and ended by `ends`, both of which get what to do.
template <class Calls, class Ends>
void live(const Subject& subject, const Code& code, std::type_identity<lemonade_strategy_t>, Calls calls, Ends ends) {
  Scene scene(equals(7));
  std::optional<StrategyRun> run(std::in_place, subject, code);
  run->show(scene);
  calls([&] { use(*run, scene, subject); });
  ends([&] {
    run->showUnprepared(scene);
    run.reset();
  });
}

template <class Table, class Calls, class Ends>
void live(const Subject& subject, const Code& code, std::type_identity<Table>, Calls calls, Ends ends) {
  std::optional<Live<Table>> instance(std::in_place, subject, code);
  calls([&] { use(*instance); });
  ends([&] { instance.reset(); });
}

Outcome called(const Subject& subject) {
  const Code code(subject);
  const auto before = ProcessState::now();
  const auto calls = [&](const auto& step) {
    step();
    requireUnchanged(subject, before, Moment::kCalled);
  };
  const auto ends = [&](const auto& step) {
    step();
    requireUnchanged(subject, before, Moment::kEnded);
  };
  forEachKind(code.kinds(), [&](auto kind) { live(subject, code, kind, calls, ends); });
  return pass();
}

/// Calls on a thread of its own, which ends only after the plugin is gone.
Outcome threadsEnd(const Subject& subject) {
  if (!mayBeUnmapped(subject)) return {Grade::kPass, "its code stays mapped"};
  std::optional<Code> code(std::in_place, subject);
  const auto kinds = code->kinds();
  std::vector<std::jthread> threads;
  std::latch gone{1};
  std::exception_ptr thrown;
  const auto calls = [&](const auto& step) {
    std::latch all_called{1};
    threads.emplace_back([&] {
      try {
        step();
      } catch (...) {
        thrown = std::current_exception();
      }
      all_called.count_down();
      gone.wait();
    });
    all_called.wait();
  };
  const auto ends = [](const auto& step) { step(); };
  forEachKind(kinds, [&](auto kind) { live(subject, *code, kind, calls, ends); });
  code.reset();
  stage("a thread ends that has called it, after it was unmapped");
  gone.count_down();
  threads.clear();
  if (thrown) std::rethrow_exception(thrown);
  return pass();
}

constexpr const char* kMend = "leave alone what belongs to the process; docs/plugin-abi.md has the list";
constexpr const char* kAfterAll =
    "strategy.memory strategy.unprepared strategy.events strategy.tried health.together sink.empty";

constexpr Check kCreated[] = {
    {"process.create", "leaves the process as it is when an instance begins and ends", kMend, created,
     "lifecycle.create load.quiet", 0, false, true},
};

constexpr Check kCalled[] = {
    {"process.calls", "leaves the process as it is when it is called", kMend, called, kAfterAll, 0, false, true},
    {"process.threads", "leaves nothing in the threads that call it",
     "clear LEMONADE_FLAG_UNLOAD_SAFE (SDK: .flags = 0), or keep nothing by thread: no pthread key with a destructor",
     threadsEnd, kAfterAll},
};

}  // namespace

std::span<const Check> processChecks() { return kCreated; }
std::span<const Check> callChecks() { return kCalled; }

}  // namespace lemonade::validate
