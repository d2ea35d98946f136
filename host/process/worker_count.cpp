// SPDX-License-Identifier: MIT
#include "process/worker_count.h"

#include <sched.h>

#include <algorithm>

namespace lemonade {

std::uint32_t workerCount(const config::Config& config) {
  if (config.runtime.workers != 0) return config.runtime.workers;
  cpu_set_t usable;
  CPU_ZERO(&usable);
  if (::sched_getaffinity(0, sizeof(usable), &usable) != 0) return 1;
  return static_cast<std::uint32_t>(std::max(1, CPU_COUNT(&usable)));
}

}  // namespace lemonade
