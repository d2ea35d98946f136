// SPDX-License-Identifier: MIT
//
// What a strategy answers.
#include "base/clock.h"
#include "validate/allocations.h"
#include "validate/strategy_run.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace lemonade::validate {

namespace {

constexpr std::uint32_t kPicks = 500;

Outcome valid(const Subject& subject) {
  const Code code(subject);
  std::uint32_t answered = 0;
  for (const std::size_t size : {1, 2, 3, 17, 10'000}) {
    StrategyRun run(subject, code);
    Scene scene(mixed(size));
    run.show(scene);
    for (std::uint32_t i = 0; i < subject.times(kPicks); ++i) {
      const auto index = run.usablePick(scrambled(subject.seed, i));
      if (index >= size) continue;
      ++answered;
      scene.stats(index).active += 1;
    }
    run.showUnprepared(scene);  // while the scene stands
  }
  return answered > 0 ? pass() : warn("it picks no backend at all");
}

/// Bytes that this process has mapped.
std::uint64_t mappedBytes() {
  std::uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

/// What a view takes, also where nothing is in it yet: an operator who adds a backend is not to run out of memory.
Outcome memory(const Subject& subject) {
  if (!kCountsAllocations) return {Grade::kPass, "not looked at: a sanitizer maps memory of its own"};
  constexpr std::uint64_t kMiB = 1 << 20, kMost = 256 * kMiB;
  const Code code(subject);
  StrategyRun run(subject, code);
  Scene scene(equals(10));
  const auto before = mappedBytes();
  run.show(scene);
  const auto after = mappedBytes();
  run.showUnprepared(scene);
  require(after < before + kMost,
          "it takes " + std::to_string((after - before) / kMiB) + " MiB to prepare a view of 10 backends");
  return pass();
}

Outcome weights(const Subject& subject) {
  const Code code(subject);
  for (const std::uint32_t weight : {1U, 65'535U, 1'000'000U, 4'294'967'295U}) {
    StrategyRun run(subject, code);
    std::vector<BackendSpec> specs{{weight, true}, {0, true}, {1, true}};
    Scene scene(specs);
    run.show(scene);
    for (std::uint32_t i = 0; i < kPicks; ++i) (void)run.usablePick(scrambled(subject.seed, i));
    run.showUnprepared(scene);
  }
  return pass();
}

Outcome none(const Subject& subject) {
  const Code code(subject);
  for (const std::size_t size : {0, 1, 2, 100}) {
    StrategyRun run(subject, code);
    auto specs = equals(size);
    for (std::size_t i = 0; i < size; ++i) specs[i] = i % 2 == 0 ? BackendSpec{1, false} : BackendSpec{0, true};
    Scene scene(specs);
    run.show(scene);
    for (std::uint32_t i = 0; i < 20; ++i) (void)run.usablePick(scrambled(subject.seed, i));
    run.showUnprepared(scene);
  }
  return pass();
}

Outcome tried(const Subject& subject) {
  const Code code(subject);
  for (const std::uint32_t size : {1, 2, 5, 40}) {
    StrategyRun run(subject, code);
    Scene scene(equals(size));
    run.show(scene);
    std::vector<std::uint32_t> before;
    for (std::uint32_t attempt = 0; attempt < size; ++attempt) {
      const auto index = run.usablePick(scrambled(subject.seed, attempt), before);
      require(std::find(before.begin(), before.end(), index) == before.end(),
              "it answers a backend again that the connection has tried");
      before.push_back(index < size ? index : attempt);
    }
    const auto last = run.usablePick(1, before);
    require(std::find(before.begin(), before.end(), last) == before.end(), "it answers although all have been tried");
    run.showUnprepared(scene);
  }
  return pass();
}

Outcome unprepared(const Subject& subject) {
  const Code code(subject);
  StrategyRun run(subject, code);
  if (run.table().prepare == nullptr) return pass();
  Scene scene(mixed(20));
  run.showUnprepared(scene);
  for (std::uint32_t i = 0; i < 50; ++i) (void)run.usablePick(scrambled(subject.seed, i));
  return pass();
}

Outcome events(const Subject& subject) {
  const Code code(subject);
  StrategyRun run(subject, code);
  Scene scene(equals(5));
  run.show(scene);
  for (std::uint32_t i = 0; i < 50; ++i)
    if (const auto index = run.usablePick(scrambled(subject.seed, i)); index < 5)
      run.tell(scene.identity(index), false, run.cookie());
  run.showUnprepared(scene);
  return pass();
}

Outcome distribution(const Subject& subject) {
  const Code code(subject);
  StrategyRun run(subject, code);
  Scene scene(equals(4));
  run.show(scene);
  std::vector<std::uint32_t> counts(4);
  for (std::uint32_t i = 0; i < 4'000; ++i)
    if (const auto index = run.usablePick(scrambled(subject.seed, i)); index < 4) ++counts[index];
  run.showUnprepared(scene);
  const auto most = *std::max_element(counts.begin(), counts.end());
  const auto least = *std::min_element(counts.begin(), counts.end());
  if (least > 0 && most < 2'000) return pass();
  return warn("of 4000 picks from four equal, idle backends one gets " + std::to_string(most) + " and one " +
              std::to_string(least) + ": fine only if that is what it is for");
}

constexpr std::uint32_t kOnly = LEMONADE_KIND_STRATEGY;
constexpr const char* kEligible = "answer an index out of view->eligible, LEMONADE_PICK_NONE or LEMONADE_PICK_REJECT";

constexpr Check kChecks[] = {
    {"strategy.valid", "answers backends that may be picked", kEligible, valid,
     "process.create descriptor.backend_options", kOnly, false, true},
    {"strategy.memory", "prepares views in less than 256 MiB",
     "take what the backends of the view need, some kilobytes each, and give it back in release", memory,
     "strategy.valid", kOnly},
    {"strategy.weights", "bears weights from 0 to the largest", "add weights up in 64 bits", weights, "strategy.valid",
     kOnly},
    {"strategy.none", "bears that there is none to pick", "look at view->eligible_count first", none, "strategy.valid",
     kOnly},
    {"strategy.tried", "does not answer what a connection has tried", "ask lemonade_may_pick before you answer", tried,
     "strategy.valid", kOnly},
    {"strategy.unprepared", "picks also where prepare has failed", "bear prepared == NULL in pick", unprepared,
     "strategy.valid", kOnly},
    {"strategy.events", "bears the events of its picks", "the backend may have left the view since", events,
     "strategy.valid", kOnly, false, true},
    {"strategy.spread", "spreads over equal backends", "", distribution, "strategy.valid", kOnly},
};

}  // namespace

std::span<const Check> strategyChecks() { return kChecks; }

}  // namespace lemonade::validate
