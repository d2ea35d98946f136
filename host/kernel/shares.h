// SPDX-License-Identifier: MIT
//
// Weights as ranges of a random number: what `numgen random mod SUM map { ... }` takes. Any thread.
#pragma once

#include "kernel/rules.h"

#include <cstdint>
#include <vector>

namespace lemonade::kernel {

struct Shares {
  /// The numbers that lead to a slot, both ends included.
  struct Range {
    std::uint32_t slot = 0;
    std::uint32_t first = 0;
    std::uint32_t last = 0;

    bool operator==(const Range&) const = default;
  };
  std::uint32_t sum = 0;  ///< numbers are smaller
  std::vector<Range> ranges{};
};

/// In the order of the choices, those of weight 0 left out. Weights are divided by what divides them all; where their
/// sum is larger than nft can say they are scaled down, to 1 at least.
Shares sharesOf(const std::vector<TablePlan::Choice>& choices);

}  // namespace lemonade::kernel
