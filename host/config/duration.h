// SPDX-License-Identifier: MIT
//
// Durations as people write them.
#pragma once

#include "base/clock.h"

#include <optional>
#include <string_view>

namespace lemonade::config {

/// Parses "250us", "500ms", "10s", "2m", "1h", with an optional fraction ("1.5s"), or a plain number of milliseconds.
/// Nothing for anything else, for negative values and for more than a hundred years.
std::optional<Duration> parseDuration(std::string_view text);

}  // namespace lemonade::config
