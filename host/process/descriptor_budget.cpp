// SPDX-License-Identifier: MIT
#include "process/descriptor_budget.h"

#include "admin/limits.h"
#include "base/fd.h"
#include "process/worker_count.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <new>
#include <system_error>
#include <vector>

namespace lemonade {

namespace {

constexpr std::uint64_t kWithoutProc = 24;  // open where nobody can count
constexpr std::uint64_t kOnceServing = 12;  // the folder of copies, the watcher, the admin listener, checks
constexpr std::uint64_t kEachWorker = 5;
constexpr std::uint64_t kEachPool = 1;  // of its ejections
constexpr std::uint64_t kAdminClients = admin::Limits{}.connections;
constexpr std::uint64_t kReload = 32;       // a preflight, a copy, new listeners, names
constexpr std::uint64_t kMostChecks = 256;  // at once
constexpr std::uint64_t kSpare = 24;

}  // namespace

std::string DescriptorBudget::text(std::uint64_t max_connections) const {
  return std::to_string(max_connections) + " clients at once need a limit of " + std::to_string(wanted) +
         " descriptors, which is " + std::to_string(limit) +
         " here and may not be raised: " + std::to_string(sessions) + " are let in at once, the others wait, and " +
         std::to_string(reserve) +
         " descriptors are kept for everything else; raise the limit (ulimit -n, LimitNOFILE) or lower max_connections";
}

DescriptorBudget shareOut(const config::Config& config, std::uint64_t open, std::uint64_t limit) {
  const std::uint64_t max_connections = config::relayedClients(config);
  std::uint64_t addresses = 0, checks = 0;
  for (const auto& listener : config.listeners) addresses += listener.addresses.size();
  for (const auto& pool : config.pools) checks += std::min<std::uint64_t>(pool.backends.size(), kMostChecks);
  // The first pool is among those that are open once the balancer serves.
  const std::uint64_t own = open + kOnceServing + kEachWorker * workerCount(config) + addresses +
                            config.metrics.sinks.size() + kEachPool * (config.pools.size() - 1);
  const std::uint64_t others = kAdminClients + kReload + checks;
  const std::uint64_t for_all = 2 * max_connections;
  DescriptorBudget budget;
  budget.limit = limit;
  budget.wanted = for_all + own + others + kSpare;
  // Of a small limit the sessions get the better part.
  budget.spare = std::min(kSpare, limit / 8);
  const std::uint64_t share = budget.suffices() ? others : std::min(others, std::max<std::uint64_t>(12, limit / 5));
  budget.admin = budget.suffices() ? kAdminClients : std::min(kAdminClients, share / 2);
  budget.reserve = own + share + budget.spare;
  const std::uint64_t left = limit > budget.reserve ? limit - budget.reserve : 0;
  budget.sessions =
      static_cast<std::uint32_t>(std::clamp<std::uint64_t>(left / 2, 1, std::max<std::uint64_t>(max_connections, 1)));
  // Nothing is held back from what it is for.
  budget.spare = std::min(budget.spare, left);
  return budget;
}

std::uint64_t descriptorLimit() noexcept {
  rlimit limit{};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 1'024;
}

std::uint64_t raiseDescriptorLimit(std::uint64_t wanted) noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return descriptorLimit();
  // Root may raise the hard limit, too, up to fs.nr_open; others get as far as the hard limit allows.
  std::uint64_t most = wanted;
  if (std::uint64_t open = 0; std::ifstream("/proc/sys/fs/nr_open") >> open) most = std::min(most, open);
  const rlimit raised{most, std::max<rlim_t>(most, limit.rlim_max)};
  const rlimit allowed{std::min<rlim_t>(wanted, limit.rlim_max), limit.rlim_max};
  if (::setrlimit(RLIMIT_NOFILE, &raised) != 0) (void)::setrlimit(RLIMIT_NOFILE, &allowed);
  return descriptorLimit();
}

void growDescriptorTable(std::uint64_t count) noexcept {
  const Fd any(::eventfd(0, EFD_CLOEXEC));
  if (any && count != 0) const Fd highest(::fcntl(any.get(), F_DUPFD_CLOEXEC, static_cast<int>(count - 1)));
}

std::uint64_t openDescriptors() {
  // Since Linux 6.2 the size of the folder says how many entries it has.
  if (struct stat folder{}; ::stat("/proc/self/fd", &folder) == 0 && folder.st_size > 0)
    return static_cast<std::uint64_t>(folder.st_size);
  std::error_code failed;
  const std::filesystem::directory_iterator entries("/proc/self/fd", failed);
  if (failed) return kWithoutProc;
  return static_cast<std::uint64_t>(std::distance(begin(entries), end(entries))) - 1;  // without the look itself
}

bool canOpen(std::uint64_t count) noexcept try {
  std::vector<Fd> opened;
  while (opened.size() < count)
    if (!opened.emplace_back(::eventfd(0, EFD_CLOEXEC))) return errno != EMFILE && errno != ENFILE;
  return true;
} catch (const std::bad_alloc&) {
  return true;  // a want of memory is not one of descriptors
}

}  // namespace lemonade
