// SPDX-License-Identifier: MIT
//
// Stands between everybody and the clocks of the C library, so that a check can move them on: what a plugin does after
// an hour then shows at once. Linked into plugin-validate alone.
//
// Moved are clock_gettime, gettimeofday and time, for all clocks that tell the time of day or since the start; waits
// until a time of such a clock take as long as they would have. Not moved are the time stamp counter, system calls that
// go past the C library, and timers of the kernel. Under a sanitizer, which stands there itself, nothing is moved.
#pragma once

#include "base/clock.h"

namespace lemonade::validate {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMovesClocks = false;
#else
constexpr bool kMovesClocks = true;
#endif

/// Moves the clocks on, for every thread of this process.
void moveClocks(Duration by) noexcept;
/// How far they have been moved since the process began.
Duration clocksMoved() noexcept;
/// Nanoseconds of the monotonic clock as it would be unmoved.
std::uint64_t unmovedNs() noexcept;

}  // namespace lemonade::validate
