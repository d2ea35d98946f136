// SPDX-License-Identifier: MIT
//
// Nanoseconds that the guard adds to a call of a plugin: the best of some hundred short runs on one thread. bench_pick
// calls strategies without it.
#include "plugin/guard.h"
#include "plugin/containment.h"
#include "plugin/guarded_thread.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <limits>

namespace {

using lemonade::plugin::Function;
using lemonade::plugin::Guard;

using Pick = std::uint32_t (*)(void* self, void* lane, const void* prepared, const void* connection, const void* view,
                               std::uint64_t* cookie) noexcept;

std::uint32_t nothing(void*, void*, const void*, const void*, const void*, std::uint64_t* cookie) noexcept {
  *cookie = 1;
  return 2;
}

template <class Call>
double nanosecondsPer(Call call) {
  constexpr int kRuns = 300, kCalls = 20'000;
  double best = std::numeric_limits<double>::max();
  for (int run = 0; run < kRuns; ++run) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kCalls; ++i) call();
    const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - start;
    best = std::min(best, taken.count() / kCalls);
  }
  return best;
}

}  // namespace

int main() {
  lemonade::plugin::Containment::use(true);
  const lemonade::plugin::GuardedThread guarded("bench");
  Guard& guard = Guard::make({}, nullptr);
  Pick volatile hidden = nothing;  // so that the compiler does not see through it
  const Pick pick = hidden;
  void* const none = nullptr;
  const void* const nowhere = nullptr;
  std::uint64_t cookie = 0;
  std::uint32_t answer = 0;
  const double plain = nanosecondsPer([&] { answer += pick(none, none, nowhere, nowhere, nowhere, &cookie); });
  const double asked = nanosecondsPer([&] {
    if (!guard.ask(Function::kPick, answer, pick, none, none, nowhere, nowhere, nowhere, &cookie)) std::puts("broken");
  });
  const double called = nanosecondsPer([&] {
    if (!guard.call(Function::kEvent, [&] { answer += pick(none, none, nowhere, nowhere, nowhere, &cookie); }))
      std::puts("broken");
  });
  std::printf("ns per call: %.1f without a guard, a pick %+.1f, any other %+.1f\n", plain, asked - plain,
              called - plain);
}
