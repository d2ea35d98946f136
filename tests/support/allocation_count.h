// SPDX-License-Identifier: MIT
//
// Counts allocations through operator new in the whole process, those of loaded plugins included: their operator new is
// resolved to this one as long as the test is linked with its symbols exported (ENABLE_EXPORTS).
#pragma once

#include <cstdint>

namespace lemonade::test {

/// Allocations of the calling thread so far.
std::uint64_t allocationsOfThisThread() noexcept;

}  // namespace lemonade::test
