// SPDX-License-Identifier: MIT
//
// Whether the kernel has what the table is made of. Any thread, in the network namespace of which it looks.
#pragma once

#include "base/result.h"

#include <string>

namespace lemonade::kernel {

/// Has the kernel look at a small table of that kind, under a name that nobody has, without making it. The error names
/// the first part that is missing, or the right, and the mend.
Status checkKernelParts(const std::string& table);

/// The same of the rule that queues alone: by nftables or by the target of xtables.
Status checkQueueRule(const std::string& table);

/// Whether nftables itself can queue.
bool hasQueueExpression(const std::string& table);

}  // namespace lemonade::kernel
