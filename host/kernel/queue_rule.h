// SPDX-License-Identifier: MIT
//
// The rule that queues, where the kernel's nftables has no `queue` expression: the NFQUEUE target of xtables, within a
// chain of our own table. Blocks for as long as the kernel takes, well below a millisecond. Any thread, in the network
// namespace of which it works.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <optional>
#include <string>

namespace lemonade::kernel {

/// Makes the rule that queues to that number the only one in the chain of the table, in one transaction: each packet
/// finds the old rule or the new one. Where nobody is bound to the number packets pass. Both must exist.
Status setQueueTarget(const std::string& table, const std::string& chain, std::uint16_t queue);

/// Whether the kernel would take such a rule; changes nothing. table is a name that nobody has.
Status tryQueueTarget(const std::string& table);

/// The number that a rule in the chain queues to, however that was made; nothing where no rule does.
Result<std::optional<std::uint16_t>> queueOf(const std::string& table, const std::string& chain);

}  // namespace lemonade::kernel
