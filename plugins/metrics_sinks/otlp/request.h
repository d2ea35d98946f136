// SPDX-License-Identifier: MIT
//
// A snapshot as requests of OTLP/HTTP in JSON, written by RapidJSON.
#pragma once

#include "pairs.h"
#include "start_times.h"

#include <lemonade/sdk/metrics_sink.hpp>

#include <cstddef>
#include <functional>
#include <string>

namespace lemonade::otlp {

/// The version of the balancer, as its lemonade_build_info has it; "" where there is none.
std::string versionIn(const sdk::Snapshot& snapshot);

/// Hands a snapshot as one or more requests of at most `most_points` data points to `take`. Numbers that are not finite
/// are left out, because the receiver could not tell them from faults. What `take` throws goes through.
void writeRequests(const sdk::Snapshot& snapshot, const Pairs& resource, StartTimes& starts, std::size_t most_points,
                   const std::function<void(const std::string&)>& take);

/// What an answer in JSON says of data points that were refused.
struct PartialSuccess {
  std::int64_t rejected = 0;
  std::string message;  ///< "" where there is none
};
/// All of it empty where the answer says nothing of the kind, or is no JSON.
PartialSuccess partialSuccessIn(const std::string& answer);

}  // namespace lemonade::otlp
