// SPDX-License-Identifier: MIT
//
// nft commands, by libnftables: each text is one transaction in the network namespace of the calling thread. Blocks for
// as long as the kernel takes, milliseconds as a rule. Any thread.
#pragma once

#include "base/result.h"

#include <string>

namespace lemonade::kernel {

/// Runs commands, all of them or none. The error says what nft says, with the mend where a right is missing.
Status runNft(const std::string& commands);

/// Has the kernel look at commands as if they were to be run, and changes nothing.
Status tryNft(const std::string& commands);

/// What a list command prints, as JSON; names of marks, addresses and services are numbers.
Result<std::string> listNft(const std::string& command);

}  // namespace lemonade::kernel
