// SPDX-License-Identifier: MIT
//
// What the admin API answers of the configuration that runs. Stateless; any thread.
#pragma once

#include "config/config.h"

#include <cstdint>
#include <string>

namespace lemonade {

/// An object with the generation, the file and, in "keys", the value of each key by its path; see config::effective().
/// Throws std::bad_alloc.
std::string configurationJson(const config::Config& config, std::uint64_t generation);

}  // namespace lemonade
