// SPDX-License-Identifier: MIT
//
// Who may be picked: which backends, of those meant to take connections, are let, and in which tiers.
//
//   1. Those found fit are eligible.
//   2. Where they are fewer than the panic threshold, what was found is disbelieved and all are: too few backends under
//      the load of all would fall too.
//   3. Where none is fit, those that are ejected, but pass their checks, are better than nobody.
//   4. Each priority is a tier; a later one serves what the earlier ones cannot.
//
// A pure function; control thread.
#pragma once

#include "balance/backend.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace lemonade {

struct Eligible {
  /// Indices into the backends, ascending, for each priority that has any, in order; no tier is empty.
  std::vector<std::vector<std::uint32_t>> tiers;
  bool panic = false;  ///< rule 2 applies
};

/// panic_threshold is a share, from 0 (never) to 1.
Eligible chooseEligible(const std::vector<std::shared_ptr<Backend>>& backends, double panic_threshold);

}  // namespace lemonade
