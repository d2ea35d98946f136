// SPDX-License-Identifier: MIT
//
// What one worker has to do with one pool: what it counts there, and how it learns of a place at a backend for which a
// session of its waits. It belongs to the pool, and lives as long.
#pragma once

#include "balance/counters.h"
#include "base/worst.h"

#include <atomic>
#include <cstdint>
#include <memory>

namespace lemonade {

/// What the layer above keeps of a pool for one worker.
class PoolAttachment {
 public:
  virtual ~PoolAttachment() = default;
};

struct PoolAtWorker {
  PoolCounters counters;
  /// Picks, in nanoseconds, of those that were timed or took over 20 ms.
  Worst slowest_pick;
  /// What a strategy on probation is judged by: how long picks took, of one in 64, and of all while it is on probation.
  Histogram pick_time;
  Counter declined_picks;  ///< of the strategy, that gave no backend though there was one
  /// How many picks there were at the last of these while the strategy was on probation. Worker thread only.
  std::uint64_t declined_at = 0;

  // Any thread.
  /// Since when the session waits that waits longest for a place at a backend, monotonic nanoseconds; 0: none does.
  alignas(64) std::atomic<std::uint64_t> queued_since{0};
  /// A place was offered to the session that waited longest then, which queued at this time; 0: none was since the
  /// worker looked.
  std::atomic<std::uint64_t> place_offered{0};
  /// The next one in the list of the worker's offers, see proxy::Offers. Of whoever wrote place_offered, until the
  /// worker takes the list.
  PoolAtWorker* next_offered = nullptr;

  /// Made by the worker when the pool gets its first session there. Worker thread only.
  std::unique_ptr<PoolAttachment> attached;
};

}  // namespace lemonade
