// SPDX-License-Identifier: MIT
#include "proxy/flow_gate.h"

namespace lemonade::proxy {

// What either side sends then meets our own machine, which has nobody at that port and answers with a reset.
void KernelGate::reset(const kernel::FlowEntry& entry) noexcept {
  parts_.resets.provoke(entry.original.reversed());
  parts_.resets.provoke(entry.reply.reversed());
}

}  // namespace lemonade::proxy
