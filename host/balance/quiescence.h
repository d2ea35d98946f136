// SPDX-License-Identifier: MIT
//
// Quiescent-state reclamation: what workers may still be reading is freed only after each of them has said, between two
// events, that it reads nothing. A worker pays one load and, after a change, one store for each turn of its loop.
//
// 1. Control publishes a new object, then retires the old one under a new epoch.
// 2. Each worker announces the epoch it sees while it holds no pointer.
// 3. Control frees what every worker has announced its way past.
#pragma once

#include "balance/per_worker.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <list>
#include <memory>

namespace lemonade {

class Quiescence {
 public:
  explicit Quiescence(std::uint32_t workers) { addWorkers(workers); }

  /// Makes room for so many workers, where there is less; they are offline. Control thread.
  void addWorkers(std::uint32_t workers) { seen_.grow(workers); }

  /// The calling worker reads nothing that was published. That worker.
  void announce(std::uint32_t worker) noexcept {
    const std::uint64_t now = epoch_.load(std::memory_order_acquire);
    auto& seen = seen_[worker].epoch;
    if (seen.load(std::memory_order_relaxed) != now) seen.store(now, std::memory_order_release);
  }

  /// The worker has ended, or has not begun: nobody waits for it. Control thread.
  void setOffline(std::uint32_t worker) noexcept { seen_[worker].epoch.store(kOffline, std::memory_order_release); }
  /// The worker is about to run. Before its first read; control thread.
  void setOnline(std::uint32_t worker) noexcept {
    seen_[worker].epoch.store(epoch_.load(std::memory_order_relaxed), std::memory_order_release);
  }

  /// Makes room, so that the next retire() needs no memory: before the object is unpublished. Control thread.
  void makeRoom() {
    if (room_.empty()) room_.emplace_back();
  }
  /// Keeps object until no worker can read it any more. It is unpublished already. Control thread.
  void retire(std::shared_ptr<const void> object) {
    makeRoom();
    const std::uint64_t epoch = epoch_.fetch_add(1, std::memory_order_acq_rel) + 1;
    room_.front() = {epoch, std::move(object)};
    retired_.splice(retired_.end(), room_, room_.begin());
  }

  /// Frees what no worker reads any more; returns how much is left. Control thread.
  std::size_t reclaim() {
    std::uint64_t oldest = kOffline;
    for (std::uint32_t worker = 0; worker < seen_.size(); ++worker)
      oldest = std::min(oldest, seen_[worker].epoch.load(std::memory_order_acquire));
    while (!retired_.empty() && retired_.front().epoch <= oldest) retired_.pop_front();
    return retired_.size();
  }

 private:
  static constexpr std::uint64_t kOffline = ~std::uint64_t{0};

  struct alignas(64) Seen {
    std::atomic<std::uint64_t> epoch{kOffline};
  };
  struct Retired {
    std::uint64_t epoch = 0;
    std::shared_ptr<const void> object;
  };

  std::atomic<std::uint64_t> epoch_{1};
  PerWorker<Seen> seen_;
  std::list<Retired> retired_;  // control thread only
  std::list<Retired> room_;     // the same
};

}  // namespace lemonade
