// SPDX-License-Identifier: MIT
//
// Who takes a client that a worker has accepted: that worker itself, unless it has clearly more than its share, and
// then the one with the fewest sessions. In a burst the worker that wakes first accepts most clients; this spreads
// them. Where clients come one by one, the kernel has workers take turns and nobody has too many. Any worker.
#pragma once

#include "balance/per_worker.h"
#include "base/clock.h"
#include "proxy/mailbox.h"

namespace lemonade::proxy {

class Sharing {
 public:
  /// Both must outlive this.
  Sharing(PerWorker<Mailbox>& mailboxes, const Clock& clock) : mailboxes_(mailboxes), clock_(clock) {}

  /// The mailbox of the worker that shall take the next client of the one that sits at `own`.
  Mailbox& choose(Mailbox& own) noexcept;

 private:
  bool isStuck(const Mailbox& mailbox) const noexcept;

  PerWorker<Mailbox>& mailboxes_;
  const Clock& clock_;
};

}  // namespace lemonade::proxy
