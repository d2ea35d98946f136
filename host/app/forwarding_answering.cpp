// SPDX-License-Identifier: MIT
//
// What operators are told of forwarding by the kernel, in the status and by metrics. Any thread.
#include "app/kernel_forwarding.h"
#include "app/load_balancer.h"
#include "base/clock.h"
#include "kernel/load.h"
#include "observe/families.h"
#include "observe/forwarding.h"
#include "observe/status.h"
#include "proxy/proxy.h"
#include "upgrade/heritage.h"

#include <optional>

namespace lemonade::app {

std::uint64_t LoadBalancer::eventLosses() const {
  std::uint64_t losses = heritage_->totals()->event_losses.value();
  for (const auto* counters : proxy_->counters()) losses += counters->event_losses.value();
  return losses;
}

std::optional<ForwardingStatus> LoadBalancer::forwarding(const std::list<ListenerTotals>& totals) const {
  const auto now = kernel_->report().now();
  if (!now) return std::nullopt;
  ForwardingStatus status;
  status.table = now->table;
  status.queue = now->queue;
  status.tag = now->tag;
  status.up_to_date = now->up_to_date;
  status.asks = now->asks(nowNs());
  for (const auto& listener : totals) status.unasked += listener.counters.unasked.value();
  status.event_losses = eventLosses();
  if (const auto load = kernel::readQueueLoad(now->queue))
    status.packets = {load->waiting, load->full, load->unreceived};
  if (const auto load = kernel::readConntrackLoad()) status.conntrack = {load->entries, load->most};
  return status;
}

}  // namespace lemonade::app
