// SPDX-License-Identifier: MIT
//
// The values that the data path reads and a reload may change while it runs. Written by control, read by workers; each
// stands for itself.
#pragma once

#include "base/clock.h"

#include <atomic>
#include <cstdint>

namespace lemonade::proxy {

struct Settings {
  std::atomic<std::uint64_t> connect_timeout_ns{5'000'000'000};
  std::atomic<std::uint64_t> queue_timeout_ns{5'000'000'000};  ///< 0: nobody waits for a place at a backend
  std::atomic<std::uint64_t> idle_timeout_ns{0};  ///< 0: none
  std::atomic<std::uint32_t> keepalive_seconds{0};  ///< idle time before the first probe; 0: off
  std::atomic<std::uint32_t> retries{2};            ///< other backends tried, below Tried::kMost
};

}  // namespace lemonade::proxy
