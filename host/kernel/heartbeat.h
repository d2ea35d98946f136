// SPDX-License-Identifier: MIT
//
// How the table knows that the balancer answers its queue: packets to loopback with a mark that a rule of the table
// looks for, renews the set `alive` by, and drops. No transaction, so nobody else's view of the rules of the machine
// changes.
#pragma once

#include "base/result.h"

#include <cstdint>

namespace lemonade::kernel {

/// So long the table asks after it was told last; the set `alive` has it in its declaration, in seconds.
inline constexpr std::uint64_t kHeartbeatLastsNs = 3'000'000'000;

/// Tells the table with that tag, for clients of IPv4 or of IPv6. An error where it did not get there: the right is
/// missing, loopback is down, or no table takes it. Does not block. Any thread.
Status sendHeartbeat(std::uint16_t tag, int family);

}  // namespace lemonade::kernel
