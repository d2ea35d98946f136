// SPDX-License-Identifier: MIT
//
// Which backends are slow beside the others of their pool, and what fails too often: judged here once, for the page,
// the commands and whoever else reads the status. Pure.
#pragma once

#include "observe/status.h"

#include <span>

namespace lemonade {

/// So large a share of clients that met an error is a finding.
constexpr double kManyErrors = 0.05;

/// Says of each backend whether it is slow: whether half of its answers of late take more than three times the median
/// of what half of the answers of the others of its pool take, and a millisecond more. Backends that have answered
/// fewer than twenty times of late say nothing.
void judgeSlowness(std::span<BackendStatus> backends);

}  // namespace lemonade
