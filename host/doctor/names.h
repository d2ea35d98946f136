// SPDX-License-Identifier: MIT
//
// The names of backends: what each leads to and how long that took, asked by the resolver of the balancer.
#pragma once

#include "balance/resolution.h"
#include "balance/resolver.h"
#include "base/clock.h"
#include "base/control_loop.h"
#include "config/config.h"
#include "doctor/finding.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace lemonade::doctor {

struct Answer {
  Resolution resolution;
  Duration took{};
};
/// By name; those that had no answer in time are not there.
using Answers = std::map<std::string, Answer>;

/// Asks for all at once, numeric ones included. Not on the control thread, which must be running.
Answers resolveNames(const config::Config& config, ControlLoop& loop, Resolver& resolver, std::uint64_t deadline_ns);

/// One for each name that is none of an address.
Findings judgeNames(const config::Config& config, const Answers& answers);

}  // namespace lemonade::doctor
