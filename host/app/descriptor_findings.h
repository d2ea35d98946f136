// SPDX-License-Identifier: MIT
//
// What the limit of descriptors means for a configuration. Not on the control thread.
#pragma once

#include "app/preparation.h"
#include "config/finding.h"

#include <cstdint>

namespace lemonade::app {

/// False, and adds an error, where there are not so many descriptors: what goes on without would take that for a fault
/// of a file or a plugin. what: "read a configuration".
bool descriptorsSuffice(std::uint64_t count, const char* what, config::Findings& findings);

/// Raises the limit of descriptors as far as it may be, has room made for them, and says where that is not far enough.
void checkDescriptors(PreparationContext& context, Preparation& preparation, config::Findings& findings);

}  // namespace lemonade::app
