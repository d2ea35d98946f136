// SPDX-License-Identifier: MIT
//
// The configured health check of each backend, once, by the balancer's own half of it.
#pragma once

#include "base/control_loop.h"
#include "doctor/finding.h"
#include "doctor/patient.h"

#include <cstdint>
#include <string>
#include <vector>

namespace lemonade::doctor {

struct Checked {
  health::Probe::Outcome outcome = health::Probe::Outcome::kRunning;  ///< kRunning: it did not come to an end in time
  std::string reason{};
  Duration took{};
};

/// Checks those that have a checker and an address, many at once, each for no longer than its timeout. In the order of
/// the patients. Not on the control thread, which must be running: checkers run there.
std::vector<Checked> check(const Patients& patients, ControlLoop& loop, std::uint64_t deadline_ns);

Findings judgeChecks(const Patients& patients, const std::vector<Checked>& checked);

}  // namespace lemonade::doctor
