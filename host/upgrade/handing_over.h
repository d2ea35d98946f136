// SPDX-License-Identifier: MIT
//
// How a handover gets from one process to the next: over a pair of sockets that the supervisor has made for them. The
// one that follows asks; it is told at once, and then every second as long as the other lives. The text is in a memory
// file that goes along, since no packet holds it. Before the kernel asks it about connections in the place of the
// other, it has that yield, and waits a moment for the answer: from then on each connection is counted by one of both.
// The other says at once when it has given way to it.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "supervisor/message.h"
#include "upgrade/handover.h"

#include <memory>
#include <string_view>

namespace lemonade {

constexpr std::string_view kAsk = "ask", kTold = "told", kYield = "yield", kYielded = "yielded", kGaveWay = "gave-way";

/// Asks, and waits for the answer at most so long. Fails, saying why, where there is none or it cannot be read.
Result<std::unique_ptr<Handover>> askForHandover(int channel, Duration at_most);

/// Never waits. False where it could not be sent.
bool tellHandover(int channel, Handover& handover);

/// What a message of the word kTold came with.
Result<std::unique_ptr<Handover>> handoverIn(const supervisor::Message& message);

}  // namespace lemonade
