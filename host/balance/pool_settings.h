// SPDX-License-Identifier: MIT
//
// The values of a pool that the data path reads and a reload may change while it runs. Control writes them, workers
// read them; each stands for itself.
#pragma once

#include <atomic>
#include <cstdint>

namespace lemonade {

struct PoolSettings {
  std::atomic<std::uint64_t> connect_timeout_ns{5'000'000'000};
  std::atomic<std::uint64_t> queue_timeout_ns{5'000'000'000};  ///< 0: nobody waits for a place at a backend
  std::atomic<std::uint32_t> retries{2};                       ///< connects after the first, below Tried::kMost
};

}  // namespace lemonade
