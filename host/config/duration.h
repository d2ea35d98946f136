// SPDX-License-Identifier: MIT
//
// Durations as operators write them: "500ms", "10s", "2m", "1h". Stateless; any thread.
#pragma once

#include "base/clock.h"

#include <optional>
#include <string>
#include <string_view>

namespace lemonade::config {

/// The longest duration that can be said: ten years.
inline constexpr Duration kLongestDuration = std::chrono::hours(24 * 365 * 10);

/// A whole number and its unit: ms, s, m or h, no space between. Nothing for anything else, or beyond the longest.
std::optional<Duration> parseDuration(std::string_view text);

/// Milliseconds that are not negative, up to the longest duration.
std::optional<Duration> durationOfMillis(std::int64_t millis);

/// In the largest unit that divides it: "1h", "90s", "0s"; what is below a millisecond is cut off.
std::string durationText(Duration duration);

}  // namespace lemonade::config
