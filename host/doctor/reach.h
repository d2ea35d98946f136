// SPDX-License-Identifier: MIT
//
// Whether each address of each backend can be connected to from here, and how long that takes.
#pragma once

#include "doctor/finding.h"
#include "doctor/patient.h"

#include <cstdint>
#include <vector>

namespace lemonade::doctor {

/// Of one address. A connect that is accepted is closed at once.
struct Reached {
  int error = 0;      ///< errno of the first connect that failed; 0: all succeeded
  bool tried = true;  ///< false: the time was over before its turn
  Duration median{};  ///< where all succeeded
};

/// Connects three times to each, many at once, each time for no longer than the connect timeout of the pool. In the
/// order of the patients.
std::vector<Reached> reach(const Patients& patients, std::uint64_t deadline_ns);

Findings judgeReach(const Patients& patients, const std::vector<Reached>& reached);

}  // namespace lemonade::doctor
