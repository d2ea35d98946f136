// SPDX-License-Identifier: MIT
//
// What a simulation came to: a row for each strategy, and where its connections went. Written for people or as JSON.
// One thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lemonade::cli {

struct SimulatedStrategy {
  std::string id;
  double p50_ms = 0;   ///< infinity where so many requests failed
  double p99_ms = 0;   ///< so too
  double p999_ms = 0;  ///< so too
  std::uint64_t requests = 0;
  std::uint64_t errors = 0;         ///< of the requests
  std::uint64_t invalid_picks = 0;  ///< answers that name no backend that could be used
  std::vector<double> shares;       ///< of the connections, by backend
};

struct Simulated {
  std::string title;
  std::vector<std::string> backends;
  double seconds = 0;
  double rate = 0;  ///< requests a second
  std::uint64_t seed = 0;
  std::uint64_t runs = 0;
  std::vector<SimulatedStrategy> strategies;
};

std::string showSimulated(const Simulated& simulated, bool colours);
/// Times that are infinite are null.
std::string simulatedJson(const Simulated& simulated);

}  // namespace lemonade::cli
