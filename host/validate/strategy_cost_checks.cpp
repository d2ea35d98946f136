// SPDX-License-Identifier: MIT
//
// What a pick must not do: allocate, call the kernel, take long.
#include "validate/allocations.h"
#include "validate/strategy_run.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>

namespace lemonade::validate {

namespace {

constexpr std::uint32_t kPicks = 1'000;

void pickAndTell(StrategyRun& run, Scene& scene, std::uint64_t seed) {
  for (std::uint32_t i = 0; i < kPicks; ++i) {
    const auto index = run.pick(scrambled(seed, i));
    if (index < scene.size()) run.tell(scene.identity(index), false, run.cookie());
  }
}

Outcome allocates(const Subject& subject) {
  if (!kCountsAllocations) return skip("allocations are not counted under a sanitizer");
  const Code code(subject);
  for (const std::size_t size : {2, 100, 5'000}) {
    StrategyRun run(subject, code);
    Scene scene(equals(size));
    run.show(scene);
    pickAndTell(run, scene, subject.seed);  // what is done once
    const auto before = heapCallsOfThisThread();
    pickAndTell(run, scene, subject.seed);
    const auto calls = heapCallsOfThisThread() - before;
    require(calls == 0, std::to_string(calls) + " calls of malloc and free in " + std::to_string(kPicks) + " picks");
    run.showUnprepared(scene);
  }
  return pass();
}

void onForbiddenCall(int, siginfo_t* info, void*) {
  char text[96];
  std::snprintf(text, sizeof(text), "it makes system call number %d in pick or event", info->si_syscall);
  endWith(Grade::kFail, text);
}

/// From now on every system call but the end of the process is a SIGSYS. False where the kernel does not do that.
bool forbidCalls() {
  struct sigaction action {};
  action.sa_sigaction = onForbiddenCall;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGSYS, &action, nullptr);
  sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{static_cast<unsigned short>(std::size(rules)), rules};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

Outcome systemCalls(const Subject& subject) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return skip("a sanitizer makes system calls of its own");
#endif
  const Code code(subject);
  StrategyRun run(subject, code);
  Scene scene(equals(20));
  run.show(scene);
  pickAndTell(run, scene, subject.seed);  // what is bound or touched for the first time
  if (!forbidCalls()) return skip("this system lets no program filter system calls");
  pickAndTell(run, scene, subject.seed);
  endWith(Grade::kPass, "");  // no way back from the filter
}

Outcome speed(const Subject& subject) {
  constexpr std::uint64_t kSlow = 5'000;
  const Code code(subject);
  StrategyRun run(subject, code);
  Scene scene(equals(100));
  run.show(scene);
  std::uint64_t best = ~std::uint64_t{0};
  for (int round = 0; round < 5; ++round) {
    const auto before = nowNs();
    for (std::uint32_t i = 0; i < kPicks; ++i) (void)run.pick(scrambled(subject.seed, i));
    best = std::min<std::uint64_t>(best, (nowNs() - before) / kPicks);
  }
  run.showUnprepared(scene);
  return best < kSlow ? pass() : warn("a pick of 100 backends takes " + std::to_string(best) + " ns");
}

constexpr std::uint32_t kOnly = LEMONADE_KIND_STRATEGY;

constexpr Check kChecks[] = {
    {"strategy.allocates", "allocates nothing in pick and event", "allocate in create, lane_create or prepare",
     allocates, "strategy.events", kOnly},
    {"strategy.calls", "makes no system call in pick and event",
     "take time and random numbers from the connection, and log nowhere in pick", systemCalls,
     "strategy.events process.calls", kOnly},
    {"strategy.speed", "picks fast", "build in prepare what a pick looks up", speed, "strategy.events", kOnly},
};

}  // namespace

std::span<const Check> strategyCostChecks() { return kChecks; }

}  // namespace lemonade::validate
