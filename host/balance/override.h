// SPDX-License-Identifier: MIT
//
// What an operator has changed of one backend while it runs, on top of what is configured. Plain data.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace lemonade {

struct Override {
  enum class Action : std::uint8_t {
    kDrain,           ///< no new sessions; those that there are end within the drain timeout
    kDisable,         ///< no new sessions, whatever its checks find; those that there are go on
    kWeight,          ///< another weight
    kMaxConnections,  ///< another limit
  };

  Action action = Action::kDrain;
  std::uint32_t value = 0;          ///< of kWeight and kMaxConnections
  std::uint64_t since_unix_ns = 0;  ///< when it was made
  std::uint64_t until_unix_ns = 0;  ///< when it ends; 0: with the next reload of the file
  std::string by{};                 ///< who made it
};

/// What requests and answers call the actions, in the order of the enumeration.
inline constexpr std::array kOverrideActions = {"drain", "disable", "weight", "max_connections"};

constexpr const char* nameOf(Override::Action action) noexcept {
  return kOverrideActions[static_cast<std::size_t>(action)];
}

constexpr bool hasValue(Override::Action action) noexcept { return action >= Override::Action::kWeight; }

/// Whether one takes the place of the other: a backend drains or is disabled, but not both.
constexpr bool replaces(Override::Action one, Override::Action other) noexcept {
  return one == other || (!hasValue(one) && !hasValue(other));
}

}  // namespace lemonade
