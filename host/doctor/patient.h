// SPDX-License-Identifier: MIT
//
// What is examined besides the configuration: each address that a backend has now, and how it is checked.
#pragma once

#include "balance/address.h"
#include "base/clock.h"
#include "config/config.h"
#include "health/probe.h"

#include <cstdint>
#include <string>
#include <vector>

namespace lemonade::doctor {

/// One address of one backend. What it refers to outlives the examination.
struct Patient {
  const config::Pool* pool = nullptr;
  config::Backend backend;  ///< of a service as its record has it
  Address address;          ///< with its port
  Address source;           ///< to connect from; of family AF_UNSPEC: the system chooses
  health::Probe::Route route{};
  const health::Checker* checker = nullptr;  ///< null: it is not checked

  /// "pools.web.backends.a", or "backends.a" of the pool that has no name in the file.
  std::string key() const {
    const std::string of_pool = pool->name == config::kDefaultName ? "" : "pools." + pool->name + ".";
    return of_pool + "backends." + backend.id;
  }
};

using Patients = std::vector<Patient>;

/// How much is left until then, not less than nothing. Monotonic nanoseconds.
inline Duration leftUntil(std::uint64_t deadline_ns) {
  const std::uint64_t now = nowNs();
  return Duration(static_cast<Duration::rep>(deadline_ns > now ? deadline_ns - now : 0));
}

}  // namespace lemonade::doctor
