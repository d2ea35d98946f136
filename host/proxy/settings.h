// SPDX-License-Identifier: MIT
//
// The values that the data path reads and a reload may change while it runs. Written by control, read by workers; each
// stands for itself.
#pragma once

#include "base/clock.h"
#include "proxy/keepalive.h"

#include <atomic>
#include <cstdint>

namespace lemonade::proxy {

struct Settings {
  std::atomic<std::uint64_t> connect_timeout_ns{5'000'000'000};
  std::atomic<std::uint64_t> queue_timeout_ns{5'000'000'000};        ///< 0: nobody waits for a place at a backend
  std::atomic<std::uint64_t> idle_timeout_ns{0};                     ///< 0: none
  std::atomic<std::uint64_t> half_close_timeout_ns{60'000'000'000};  ///< 0: none
  std::atomic<std::uint32_t> keepalive_idle_s{0};                    ///< these four: see Keepalive
  std::atomic<std::uint32_t> keepalive_interval_s{10};
  std::atomic<std::uint32_t> keepalive_count{5};
  std::atomic<std::uint32_t> user_timeout_ms{0};
  std::atomic<std::uint32_t> retries{2};  ///< connects after the first, below Tried::kMost
  std::atomic<std::uint32_t> workers{1};  ///< that serve

  Keepalive keepalive() const noexcept {
    return {keepalive_idle_s.load(std::memory_order_relaxed), keepalive_interval_s.load(std::memory_order_relaxed),
            keepalive_count.load(std::memory_order_relaxed), user_timeout_ms.load(std::memory_order_relaxed)};
  }
};

}  // namespace lemonade::proxy
