// SPDX-License-Identifier: MIT
//
// What stays of a worker when its thread has ended: any thread may read it and ring.
#pragma once

#include "balance/counters.h"
#include "base/fd.h"
#include "base/pulse.h"
#include "proxy/inbox.h"

#include <atomic>
#include <cstdint>

namespace lemonade::proxy {

struct Mailbox {
  Mailbox();
  /// Has the worker look again whether there is room for clients and at backends, and pass a quiescent point. Never
  /// blocks.
  void wake() noexcept;

  ProxyCounters counters;
  /// For a client, and nobody has rung since: who rings for that takes it away.
  std::atomic<bool> wants_room{false};
  /// Since when the session waits that waits longest for a place at a backend, monotonic nanoseconds; 0: none does.
  std::atomic<std::uint64_t> queued_since{0};
  /// Somebody has rung for such a place, for the session that waited longest then, which queued at this time; 0: nobody
  /// since the worker looked.
  std::atomic<std::uint64_t> place_offered{0};
  /// Clients that other workers hand to this one; a ring for the first.
  Inbox inbox;
  /// Whether the worker moves; it answers when it is woken.
  Pulse pulse;
  Fd wake_fd;
};

}  // namespace lemonade::proxy
