// SPDX-License-Identifier: MIT
//
// How the descriptors that the process may have are shared out: what it needs for itself, and for the admin listener,
// checks, names and reloads, is kept from the sessions, which have the rest, two for each.
#pragma once

#include "config/config.h"

#include <cstdint>
#include <string>

namespace lemonade {

/// The outcome; all numbers are descriptors, but for the sessions.
struct DescriptorBudget {
  std::uint64_t limit = 0;     ///< RLIMIT_NOFILE
  std::uint64_t wanted = 0;    ///< the limit that lets max_connections in and keeps the whole reserve
  std::uint64_t reserve = 0;   ///< what sessions do not get
  std::uint64_t spare = 0;     ///< of the reserve: held open, to be given up in need
  std::uint64_t admin = 0;     ///< of the reserve: clients of the admin listener at once
  std::uint32_t sessions = 0;  ///< how many there may be: max_connections, or (limit - reserve) / 2, but one at least

  bool suffices() const noexcept { return limit >= wanted; }
  /// A sentence that says what the limit allows, and the mend.
  std::string text(std::uint64_t max_connections) const;
};

/// Shares limit out. open: what a process without workers and listeners has open.
DescriptorBudget shareOut(const config::Config& config, std::uint64_t open, std::uint64_t limit);

/// The limit of open descriptors now.
std::uint64_t descriptorLimit() noexcept;
/// Raises it to wanted, or as far as that is allowed, where it is lower; returns what it is then.
std::uint64_t raiseDescriptorLimit(std::uint64_t wanted) noexcept;
/// Has the kernel make the process's table large enough for so many descriptors now: where it grows it, a process with
/// threads waits for 10 ms and more (docs/decisions/0085). Beyond the limit nothing happens. Any thread.
void growDescriptorTable(std::uint64_t count) noexcept;
/// How many descriptors are open.
std::uint64_t openDescriptors();
/// False where the limit, or the system's, does not let so many more be opened now.
bool canOpen(std::uint64_t count) noexcept;

}  // namespace lemonade
