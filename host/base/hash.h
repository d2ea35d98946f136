// SPDX-License-Identifier: MIT
//
// Hashes that are the same in every process and on every machine. Not for secrets. Any thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace lemonade {

inline constexpr std::uint64_t kFnv1aBasis = 0xcbf29ce484222325;

/// FNV-1a (Fowler, Noll, Vo; 64 bit) of a text, going on from the hash of what comes before it.
constexpr std::uint64_t fnv1a(std::string_view text, std::uint64_t before = kFnv1aBasis) noexcept {
  for (const char c : text) before = (before ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return before;
}

/// What splitmix64 (Steele, Lea, Flood, 2014) adds to its state for each number.
inline constexpr std::uint64_t kSplitmix64Step = 0x9e3779b97f4a7c15;

/// The number that splitmix64 makes of a state: every bit of it depends on every bit of the state.
constexpr std::uint64_t splitmix64(std::uint64_t state) noexcept {
  state = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9;
  state = (state ^ (state >> 27)) * 0x94d049bb133111eb;
  return state ^ (state >> 31);
}

}  // namespace lemonade
