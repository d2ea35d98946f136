// SPDX-License-Identifier: MIT
#include "app/descriptor_limit.h"

#include "base/log.h"

#include <sys/resource.h>

#include <algorithm>
#include <string>

namespace lemonade::app {

void raiseDescriptorLimit(std::uint32_t max_connections, std::size_t backends) {
  constexpr rlim_t own = 128;  // listeners, plugins, admin, the workers' own
  const rlim_t checks = std::min<rlim_t>(backends, 256);
  const rlim_t needed = 2 * rlim_t{max_connections} + checks + own;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed) return;
  // Root may raise the hard limit, too; others get as far as it allows.
  const rlimit wanted{needed, std::max(needed, limit.rlim_max)};
  const rlimit allowed{std::min(needed, limit.rlim_max), limit.rlim_max};
  if (::setrlimit(RLIMIT_NOFILE, &wanted) == 0) return;
  (void)::setrlimit(RLIMIT_NOFILE, &allowed);
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < needed)
    log::warning("app", "the descriptor limit is below what max_connections needs; beyond it clients will wait",
                 {{"limit", limit.rlim_cur},
                  {"needed", needed},
                  {"max_connections", max_connections},
                  {"mend", "ulimit -n or LimitNOFILE=" + std::to_string(needed)}});
}

}  // namespace lemonade::app
