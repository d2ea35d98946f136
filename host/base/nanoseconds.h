// SPDX-License-Identifier: MIT
//
// A length of time as the number that points in time of the monotonic clock are counted with.
#pragma once

#include "base/clock.h"

#include <cstdint>

namespace lemonade {

/// Nanoseconds; duration is not negative.
inline std::uint64_t ns(Duration duration) noexcept { return static_cast<std::uint64_t>(duration.count()); }

}  // namespace lemonade
