// SPDX-License-Identifier: MIT
//
// The values of a pool that the data path reads and a reload may change while it runs. Control writes them, workers
// read them; each stands for itself.
#pragma once

#include "balance/address.h"

#include <atomic>
#include <cstdint>
#include <mutex>

namespace lemonade {

struct PoolSettings {
  std::atomic<std::uint64_t> connect_timeout_ns{5'000'000'000};
  std::atomic<std::uint64_t> queue_timeout_ns{5'000'000'000};  ///< 0: nobody waits for a place at a backend
  std::atomic<std::uint32_t> retries{2};                       ///< connects after the first, below Tried::kMost
  std::atomic<bool> awaits_checks{false};  ///< clients queue rather than hear that there is no backend
  std::atomic<bool> times_all_picks{false};
  std::atomic<std::uint8_t> send_proxy{0};  ///< version of the PROXY header that backends are sent; 0: none

  /// The address of this machine, without a port, from which backends of its family are connected to; of family
  /// AF_UNSPEC: the system chooses.
  Address source() const noexcept {
    if (!has_source_.load(std::memory_order_relaxed)) return {};
    const std::lock_guard lock(mutex_);
    return source_;
  }
  void setSource(const Address& source) noexcept {
    const std::lock_guard lock(mutex_);
    source_ = source;
    has_source_.store(source.family() != AF_UNSPEC, std::memory_order_relaxed);
  }

 private:
  std::atomic<bool> has_source_{false};
  mutable std::mutex mutex_;
  Address source_;
};

}  // namespace lemonade
