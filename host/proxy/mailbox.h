// SPDX-License-Identifier: MIT
//
// What stays of a worker when its thread has ended: any thread may read it and wake the worker.
#pragma once

#include "balance/counters.h"
#include "balance/session_records.h"
#include "base/fd.h"
#include "base/lag.h"
#include "base/pulse.h"
#include "proxy/inbox.h"
#include "proxy/offers.h"

#include <cstdint>

namespace lemonade::proxy {

struct Mailbox {
  Mailbox();
  /// Has the worker look again whether there is room for clients and at backends, and pass a quiescent point. Never
  /// blocks.
  void wake() noexcept;

  WorkerCounters counters;
  /// Clients that other workers hand to this one; wake() after the first.
  Inbox inbox;
  /// Places at backends that were offered to this worker; wake() after each.
  Offers offers;
  /// Sessions of this worker that have ended.
  SessionRecordLane records;
  /// Whether the worker moves; it answers when it is woken.
  Pulse pulse;
  /// From what the worker was woken by until it waits again: so long the next client waited at worst.
  Lag lag;
  Fd wake_fd;
};

}  // namespace lemonade::proxy
