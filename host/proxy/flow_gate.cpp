// SPDX-License-Identifier: MIT
#include "proxy/flow_gate.h"

#include <new>

namespace lemonade::proxy {

// What either side sends then meets our own machine, which answers with a reset: nobody is at that port, or, where the
// other side's own address is asked for, the table does (kernel/rules.h, "ended").
void KernelGate::reset(const kernel::FlowEntry& entry) noexcept {
  parts_.resets.provoke(entry.original.reversed());
  parts_.resets.provoke(entry.reply.reversed());
}

// What cannot be listed for want of memory is an error, and spelling that takes some, too.
bool KernelGate::each(const std::function<void(const kernel::FlowEntry&)>& visit) noexcept try {
  return parts_.conntrack.each(parts_.mark, parts_.mask, visit).ok();
} catch (const std::bad_alloc&) {
  return false;
}

}  // namespace lemonade::proxy
