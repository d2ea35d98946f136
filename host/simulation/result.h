// SPDX-License-Identifier: MIT
//
// What the clients of a run saw.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace lemonade::sim {

struct Result {
  std::vector<float> latencies_ms;         ///< of answered requests, from the moment they were due
  std::uint64_t errors = 0;                ///< requests that were reset, given up or turned away
  std::vector<std::uint64_t> given;        ///< connects to each server
  std::vector<std::uint64_t> answered;     ///< requests each server answered
  std::vector<std::size_t> longest_queue;  ///< of each server
  std::uint64_t elsewhere = 0;             ///< connects to a server of another zone than the balancer's
  std::uint64_t invalid_picks = 0;         ///< answers of the strategy that the host could not use

  /// The latency that a share q of all requests did not exceed, ms. One that failed took for ever: infinity.
  double quantile(double q) {
    const double last = static_cast<double>(latencies_ms.size() + errors) - 1;
    const auto at = static_cast<std::ptrdiff_t>(q * std::max(0.0, last));
    if (static_cast<std::size_t>(at) >= latencies_ms.size()) return std::numeric_limits<double>::infinity();
    std::nth_element(latencies_ms.begin(), latencies_ms.begin() + at, latencies_ms.end());
    return latencies_ms[static_cast<std::size_t>(at)];
  }

  /// Adds what another run of the same scenario gave.
  void add(const Result& other) {
    latencies_ms.insert(latencies_ms.end(), other.latencies_ms.begin(), other.latencies_ms.end());
    errors += other.errors;
    elsewhere += other.elsewhere;
    invalid_picks += other.invalid_picks;
    given.resize(other.given.size());
    answered.resize(other.answered.size());
    longest_queue.resize(other.longest_queue.size());
    for (std::size_t i = 0; i < other.given.size(); ++i) {
      given[i] += other.given[i];
      answered[i] += other.answered[i];
      longest_queue[i] = std::max(longest_queue[i], other.longest_queue[i]);
    }
  }

  std::uint64_t allGiven() const {
    std::uint64_t all = 0;
    for (const auto count : given) all += count;
    return all;
  }
  /// Share of all connects that a server was given.
  double share(std::uint32_t server) const {
    const auto all = allGiven();
    return all == 0 ? 0 : static_cast<double>(given[server]) / static_cast<double>(all);
  }
  /// Share of all connects that stayed in the balancer's own zone.
  double nearShare() const {
    const auto all = allGiven();
    return all == 0 ? 0 : 1 - static_cast<double>(elsewhere) / static_cast<double>(all);
  }

  /// Connects to the server that got most, in multiples of the mean.
  double mostOverMean() const {
    double most = 0;
    for (std::uint32_t i = 0; i < given.size(); ++i) most = std::max(most, share(i));
    return most * static_cast<double>(given.size());
  }

  std::size_t longestQueue() const { return *std::max_element(longest_queue.begin(), longest_queue.end()); }
};

}  // namespace lemonade::sim
