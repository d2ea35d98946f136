// SPDX-License-Identifier: MIT
#pragma once

#include "config/config.h"

#include <cstdint>

namespace lemonade {

/// The number of workers that a configuration asks for: one for each usable core where it says 0.
std::uint32_t workerCount(const config::Config& config);

}  // namespace lemonade
