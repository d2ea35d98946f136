// SPDX-License-Identifier: MIT
//
// The limit of open descriptors: raised to what the configuration needs, if it may be.
#pragma once

#include <cstdint>

namespace lemonade::app {

/// Makes room for max_connections sessions (two descriptors each) and for checking backends. Where that is not allowed
/// it logs a warning that says what will happen; it is never fatal.
void raiseDescriptorLimit(std::uint32_t max_connections, std::size_t backends);

}  // namespace lemonade::app
