// SPDX-License-Identifier: MIT
//
// What a strategy answers.
#include "base/clock.h"
#include "validate/strategy_run.h"

#include <algorithm>
#include <atomic>
#include <latch>
#include <thread>

namespace lemonade::validate {

namespace {

constexpr std::uint32_t kPicks = 500;

std::vector<BackendSpec> mixed(std::size_t count) {
  auto specs = equals(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (i % 7 == 3) specs[i].healthy = false;
    if (i % 11 == 5) specs[i].weight = 0;
    if (i % 5 == 4) specs[i].weight = 1'000'000;
  }
  return specs;
}

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

/// Backends come and go, and what they are numbered by moves.
Outcome churn(const Subject& subject) {
  const Code code(subject);
  StrategyRun run(subject, code);
  std::unique_ptr<Scene> before;
  for (std::uint32_t round = 0; round < subject.times(100); ++round) {
    const auto size = 1 + scrambled(subject.seed, round) % 40;
    auto scene = std::make_unique<Scene>(mixed(size), 0, 1 + round % 7);
    run.show(*scene);
    before = std::move(scene);  // the one before ends only now, after it was released
    for (std::uint32_t i = 0; i < 20; ++i) {
      const auto index = run.usablePick(scrambled(subject.seed, round * 20 + i));
      if (index < size) run.tell(before->identity(index), false, run.cookie());
    }
  }
  run.showUnprepared(*before);
  return pass();
}

/// Events of picks that this generation never made, of backends that it never saw.
Outcome foreign(const Subject& subject) {
  const Code code(subject);
  StrategyRun run(subject, code);
  if (run.table().events == 0) return skip("it asks for no events");
  Scene scene(equals(5));
  run.show(scene);
  for (std::uint64_t i = 0; i < 100; ++i) {
    const auto cookie = i == 0 ? ~std::uint64_t{0} : scrambled(subject.seed, i);
    run.tell(i % 2 == 0 ? scene.identity(0) : cookie, true, cookie);
  }
  (void)run.usablePick(1);
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

Outcome threads(const Subject& subject) {
  const Code code(subject);
  constexpr std::uint32_t kWorkers = 4;
  constexpr std::uint64_t kTogetherNs = 400'000'000;
  StrategyRun shared(subject, code, kWorkers);
  Scene scene(mixed(50));
  shared.show(scene);
  std::atomic<bool> wrong{false};
  stage("picking for several workers");
  std::latch all_here{kWorkers};
  std::vector<std::jthread> workers;
  for (std::uint32_t worker = 0; worker < kWorkers; ++worker)
    workers.emplace_back([&, worker] {
      lemonade_connection_t connection{};
      connection.struct_size = sizeof(connection);
      connection.worker = worker;
      connection.client_family = LEMONADE_FAMILY_IPV4;
      all_here.arrive_and_wait();
      // Where there are fewer cores than workers, they meet only when one is interrupted: it takes many time slices.
      const std::uint64_t end = nowNs() + kTogetherNs;
      for (std::uint64_t i = 0; i < subject.times(20'000) || nowNs() < end; ++i) {
        std::uint64_t cookie = 0;
        connection.random = scrambled(subject.seed + worker, i);
        connection.now_ns = i;
        const auto index = shared.table().pick(shared.self(), shared.lane(worker), shared.prepared(), &connection,
                                               &scene.view(), &cookie);
        if (index < LEMONADE_PICK_REJECT && !scene.eligible(index)) wrong = true;
        if (index < scene.size()) __atomic_fetch_add(&scene.stats(index).active, 1, __ATOMIC_RELAXED);
      }
    });
  workers.clear();
  shared.showUnprepared(scene);
  require(!wrong, "its answers are not usable when several workers ask at once");
  return pass();
}

constexpr std::uint32_t kOnly = LEMONADE_KIND_STRATEGY;
constexpr const char* kEligible = "answer an index out of view->eligible, LEMONADE_PICK_NONE or LEMONADE_PICK_REJECT";

constexpr Check kChecks[] = {
    {"strategy.valid", "answers backends that may be picked", kEligible, valid,
     "lifecycle.create descriptor.backend_options", kOnly},
    {"strategy.weights", "bears weights from 0 to the largest", "add weights up in 64 bits", weights, "strategy.valid",
     kOnly},
    {"strategy.none", "bears that there is none to pick", "look at view->eligible_count first", none, "strategy.valid",
     kOnly},
    {"strategy.tried", "does not answer what a connection has tried", "ask lemonade_may_pick before you answer", tried,
     "strategy.valid", kOnly},
    {"strategy.unprepared", "picks also where prepare has failed", "bear prepared == NULL in pick", unprepared,
     "strategy.valid", kOnly},
    {"strategy.events", "bears the events of its picks", "the backend may have left the view since", events,
     "strategy.valid", kOnly},
    {"strategy.churn", "follows backends that come and go", "keep nothing of a view after its release", churn,
     "strategy.events", kOnly},
    {"strategy.foreign", "bears events of picks that were not its own", "look at event->foreign before the cookie",
     foreign, "strategy.events", kOnly},
    {"strategy.threads", "answers several workers at once", "keep what pick changes in a lane, or make it atomic",
     threads, "strategy.valid", kOnly},
    {"strategy.spread", "spreads over equal backends", "", distribution, "strategy.valid", kOnly},
};

}  // namespace

std::span<const Check> strategyChecks() { return kChecks; }

}  // namespace lemonade::validate
