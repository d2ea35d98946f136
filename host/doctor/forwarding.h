// SPDX-License-Identifier: MIT
//
// What the machine lacks for listeners whose connections the kernel forwards.
#pragma once

#include "config/config.h"
#include "doctor/finding.h"
#include "doctor/patient.h"

#include <string>

namespace lemonade::doctor {

/// Nothing where no listener has its connections forwarded by the kernel. Rights and parts of the kernel are those of
/// this process, here and now; settings are read from proc, the folder, "/proc".
Findings examineForwarding(const config::Config& config, const Patients& patients, const std::string& proc);

}  // namespace lemonade::doctor
