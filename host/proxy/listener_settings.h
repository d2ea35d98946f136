// SPDX-License-Identifier: MIT
//
// The values of a listener that the data path reads and a reload may change while it runs. Control writes them, workers
// read them; each stands for itself.
#pragma once

#include "base/nanoseconds.h"
#include "config/config.h"
#include "proxy/keepalive.h"

#include <atomic>
#include <cstdint>

namespace lemonade::proxy {

struct ListenerSettings {
  std::atomic<std::uint64_t> idle_timeout_ns{0};                     ///< 0: none
  std::atomic<std::uint64_t> half_close_timeout_ns{60'000'000'000};  ///< 0: none
  std::atomic<std::uint32_t> keepalive_idle_s{0};                    ///< these four: see Keepalive
  std::atomic<std::uint32_t> keepalive_interval_s{10};
  std::atomic<std::uint32_t> keepalive_count{5};
  std::atomic<std::uint32_t> user_timeout_ms{0};

  Keepalive keepalive() const noexcept {
    return {keepalive_idle_s.load(std::memory_order_relaxed), keepalive_interval_s.load(std::memory_order_relaxed),
            keepalive_count.load(std::memory_order_relaxed), user_timeout_ms.load(std::memory_order_relaxed)};
  }
  void apply(const config::Listener& config) noexcept {
    const auto keepalive = Keepalive::of(config);
    idle_timeout_ns.store(ns(config.idle_timeout), std::memory_order_relaxed);
    half_close_timeout_ns.store(ns(config.half_close_timeout), std::memory_order_relaxed);
    keepalive_idle_s.store(keepalive.idle_s, std::memory_order_relaxed);
    keepalive_interval_s.store(keepalive.interval_s, std::memory_order_relaxed);
    keepalive_count.store(keepalive.count, std::memory_order_relaxed);
    user_timeout_ms.store(keepalive.user_timeout_ms, std::memory_order_relaxed);
  }
};

}  // namespace lemonade::proxy
