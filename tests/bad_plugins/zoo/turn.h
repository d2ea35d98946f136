// SPDX-License-Identifier: MIT
//
// When a turncoat turns: four seconds after it was made, by the clock that its host would ask.
#pragma once

#include <pthread.h>
#include <unistd.h>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <stdexcept>

namespace zoo {

constexpr std::uint64_t kTurnsAfter = 4'000'000'000;

constexpr bool does(const char* misdeed) { return __builtin_strcmp(BEAST_MISDEED, misdeed) == 0; }

/// The clock, asked past the host.
inline std::uint64_t monotonicNs() noexcept {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

/// Writes where nothing is.
inline void crash() noexcept {
  int* volatile nowhere = nullptr;
  *nowhere = 1;
}

inline void spin() noexcept {
  volatile unsigned turns = 0;
  for (;;) turns = turns + 1;
}

/// Uses the whole stack.
inline int recurse(int depth) noexcept {
  volatile char page[4'096];
  page[0] = static_cast<char>(depth);
  return depth < 0 ? 0 : recurse(depth + 1) + page[0];
}

inline void throwOut() { throw std::runtime_error("it has turned"); }

}  // namespace zoo
