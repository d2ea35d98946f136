// SPDX-License-Identifier: MIT
//
// Stands between everybody and malloc, so that what a plugin allocates can be counted, and made to fail. Linked into
// plugin-validate alone. Under a sanitizer, which stands there itself, it does neither.
#pragma once

#include <cstdint>

namespace lemonade::validate {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kCountsAllocations = false;
#else
constexpr bool kCountsAllocations = true;
#endif

/// Allocations and releases of this thread so far.
std::uint64_t heapCallsOfThisThread() noexcept;

/// Blocks that are allocated now, of all threads.
std::int64_t blocksInUse() noexcept;

/// From now on the calling thread's allocations fail, after `succeed` that do not; a negative number ends that.
void failAllocationsAfter(std::int64_t succeed) noexcept;

}  // namespace lemonade::validate
