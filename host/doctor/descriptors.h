// SPDX-License-Identifier: MIT
//
// The limit of descriptors against what the configuration asks for.
#pragma once

#include "config/config.h"
#include "doctor/finding.h"

#include <cstdint>

namespace lemonade::doctor {

/// open: what a process without workers and listeners has open; limit: what it may have, raised as a start raises it.
Findings examineDescriptors(const config::Config& config, std::uint64_t open, std::uint64_t limit);

}  // namespace lemonade::doctor
