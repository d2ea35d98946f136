// SPDX-License-Identifier: MIT
//
// The pools of which a place at a backend was offered to one worker, so that the worker looks at these and at no other
// pool. A list linked through PoolAtWorker: an item is pushed by one exchange, and all are taken at once by another.
//
// A pool is in the list of a worker once at most: only the thread that wrote its place_offered, when that was 0, puts
// it there, and the worker writes 0 again after it took the list.
#pragma once

#include "balance/pool_at_worker.h"

#include <atomic>
#include <utility>

namespace lemonade::proxy {

class Offers {
 public:
  /// Any worker, which has just written place_offered.
  void put(PoolAtWorker& at) noexcept {
    at.next_offered = newest_.load(std::memory_order_relaxed);
    while (!newest_.compare_exchange_weak(at.next_offered, &at, std::memory_order_release, std::memory_order_relaxed)) {
    }
  }

  /// Calls visit(at, offered) for each pool, with what place_offered was. The owner's thread.
  template <class Visit>
  void takeAll(Visit&& visit) noexcept {
    if (newest_.load(std::memory_order_relaxed) == nullptr) return;
    for (PoolAtWorker* at = newest_.exchange(nullptr, std::memory_order_acquire); at != nullptr;) {
      PoolAtWorker* const next = at->next_offered;  // from the next line on others may put it back
      const std::uint64_t offered = at->place_offered.exchange(0);
      visit(*std::exchange(at, next), offered);
    }
  }

 private:
  std::atomic<PoolAtWorker*> newest_{nullptr};
};

}  // namespace lemonade::proxy
