// SPDX-License-Identifier: MIT
//
// Bounds that several tables of keys share.
#pragma once

#include "base/clock.h"

#include <cstdint>

namespace lemonade::config {

inline constexpr std::uint32_t kMaxConnections = 10'000'000;
inline constexpr Duration kDay = std::chrono::hours(24);
inline constexpr Duration kShortest = std::chrono::milliseconds(10);  ///< of what is done again and again

}  // namespace lemonade::config
