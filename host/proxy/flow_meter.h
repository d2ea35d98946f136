// SPDX-License-Identifier: MIT
//
// What happens to flows, told once here to everyone who counts, as Meter tells it of sessions that a relay moves. Of
// exchanges FlowExchanges tells, where they are timed; of first bytes nobody does. Worker thread only.
#pragma once

#include "balance/session_records.h"
#include "kernel/flow_entry.h"
#include "proxy/flow.h"
#include "proxy/pool_sessions.h"

#include <cstdint>

namespace lemonade::proxy {

struct Mailbox;

class FlowMeter {
 public:
  /// mailbox is that of the worker, and must outlive this.
  FlowMeter(std::uint32_t worker, Mailbox& mailbox) : worker_(worker), mailbox_(mailbox) {}

  /// The flow has its listener and its pool. again: that it came has been counted.
  void came(Flow& flow, bool again) noexcept;
  void connected(Flow& flow, std::uint64_t now) noexcept;
  /// The flow came by the table's weights: nobody was asked about it.
  void cameUnasked(const Flow& flow) noexcept;
  /// A first packet was dropped: the listener is full, or, else, as many wait for a place as may.
  void dropped(Listener& listener, bool full) noexcept;
  /// Events of conntrack were lost.
  void lostEvents() noexcept;
  /// The backend has refused the connection or, else, not answered.
  void connectFailed(Flow& flow, bool refused, std::uint64_t now) noexcept;
  /// The pick came to nothing, and not by the backend's fault.
  void abandoned(Flow& flow, std::uint64_t now) noexcept;
  /// Counts what conntrack has counted beyond what is counted already; of a flow that is lent it is only remembered.
  void moved(Flow& flow, const kernel::FlowEntry& entry) noexcept;
  /// The flow is over, for flow.reason. Of one that is lent nothing is counted.
  void closed(Flow& flow, std::uint64_t now) noexcept;
  /// The last that is done for a flow: from here on its pool and its listener may come to an end.
  void left(Flow& flow) noexcept;

  /// What the worker keeps of a pool; null where memory is out.
  PoolSessions* at(Pool& pool) const noexcept;

 private:
  void tell(const Flow& flow, std::uint32_t type, std::uint64_t now, std::uint64_t value_ns, int error = 0) noexcept;
  void countReason(const Flow& flow) noexcept;
  SessionRecord recordOf(const Flow& flow, const Address& client, std::uint64_t now) const noexcept;
  void writeAccessLog(const Flow& flow, std::uint64_t now) const noexcept;
  PoolCounters& ofPool(const Flow& flow) const noexcept;

  const std::uint32_t worker_;
  Mailbox& mailbox_;
};

}  // namespace lemonade::proxy
