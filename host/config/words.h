// SPDX-License-Identifier: MIT
//
// The words by which a file chooses one of a few: each enumeration of the configuration has an array of them, by its
// values, which count from 0. Stateless; any thread.
#pragma once

#include <array>
#include <cstddef>

namespace lemonade::config {

/// The words of Choice; each enumeration gives its own.
template <class Choice>
inline constexpr std::array<const char*, 0> kWords{};

/// The word for a value, which lives as long as the process.
template <class Choice>
const char* wordOf(Choice value) noexcept {
  static_assert(!kWords<Choice>.empty(), "this enumeration has no words");
  return kWords<Choice>[static_cast<std::size_t>(value)];
}

}  // namespace lemonade::config
