// SPDX-License-Identifier: MIT
//
// Whether this program can have the kernel forward at all: the libraries that it speaks with netfilter by are under the
// GPL, and a build may leave them out (LEMONADE_KERNEL_FORWARDING, docs/kernel-forwarding.md). host/kernel/absent then
// stands in the place of the sources that use them, and every question there is answered with this error.
#pragma once

#include "base/result.h"

namespace lemonade::kernel {

/// The error says that this build has no forwarding by the kernel, and how to get one that has. Any thread.
Status checkBuild();

}  // namespace lemonade::kernel
