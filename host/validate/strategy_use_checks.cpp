// SPDX-License-Identifier: MIT
//
// A strategy in use: backends that come and go, events of picks that it never made, several workers at once.
#include "base/clock.h"
#include "validate/strategy_run.h"

#include <atomic>
#include <latch>
#include <memory>
#include <thread>

namespace lemonade::validate {

namespace {

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
        connection.now_ns = nowNs();
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

constexpr Check kChecks[] = {
    {"strategy.churn", "follows backends that come and go", "keep nothing of a view after its release", churn,
     "strategy.events late.picks", kOnly},
    {"strategy.foreign", "bears events of picks that were not its own", "look at event->foreign before the cookie",
     foreign, "strategy.events late.picks", kOnly},
    {"strategy.threads", "answers several workers at once", "keep what pick changes in a lane, or make it atomic",
     threads, "strategy.valid late.picks", kOnly},
};

}  // namespace

std::span<const Check> strategyUseChecks() { return kChecks; }

}  // namespace lemonade::validate
