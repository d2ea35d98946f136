// SPDX-License-Identifier: MIT
//
// What a ManagedPool asks of the balancer that it is part of. Control thread only.
#pragma once

#include "balance/address.h"
#include "balance/backend.h"
#include "metrics/sink.h"
#include "observe/events.h"

#include <memory>
#include <vector>

namespace lemonade {
class Pool;
}  // namespace lemonade

namespace lemonade::proxy {
class PartingOrder;
}

namespace lemonade::app {

struct EndedOverride;

class PoolHost {
 public:
  virtual ~PoolHost() = default;

  /// True where no listener leads to a pool that has retired, no session has it and no worker can reach it. To be asked
  /// until it is so.
  virtual bool isUnused(Pool& pool) = 0;
  /// Every address that this process accepts clients at, of all listeners.
  virtual std::vector<Address> listeningAddresses() const = 0;
  /// Ends the sessions at backends that left their pool, within the drain timeout. No view holds these backends.
  virtual void drainBackends(const Pool& pool, const std::vector<std::shared_ptr<Backend>>& left) = 0;
  /// Ends the sessions at a backend that is down, at once. No view offers this backend.
  virtual void endSessionsAt(const Pool& pool, const std::shared_ptr<Backend>& backend) = 0;
  /// Has workers look for quiet sessions that are to part.
  virtual void partSessions(const std::shared_ptr<proxy::PartingOrder>& order) = 0;
  /// The health of a backend changed, or its ejection.
  virtual void healthChanged(const metrics::HealthEvent& event) = 0;
  /// A pool has published a view.
  virtual void viewPublished() = 0;
  /// A check of a backend ended.
  virtual void checkEnded() = 0;
  /// Something that belongs on a timeline.
  virtual void happened(Event event) = 0;
  /// What an operator had changed is over.
  virtual void overrideEnded(const EndedOverride& ended) = 0;
};

}  // namespace lemonade::app
