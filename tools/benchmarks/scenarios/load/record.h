// SPDX-License-Identifier: MIT
//
// What the clients saw, and its JSON. Latencies are kept one by one, so percentiles are exact.
// Thread: the one of the load generator.
#pragma once

#include <array>
#include <cstdint>
#include <ostream>
#include <vector>

namespace lemonade::bench {

enum class Outcome { kAnswered, kRefused, kReset, kClosedEarly, kTimeout };
inline constexpr std::size_t kOutcomes = 5;

/// Requests of one kind.
class Record {
 public:
  /// limit_ns: how long clients wait for an answer.
  Record(std::size_t backends, std::uint64_t limit_ns) : limit_ns_(limit_ns), answered_by_(backends) {}

  /// A request due at due_ns after the start ended so. backend is who answered it, where someone did. Whoever got no
  /// answer counts as having waited for the limit: a failure is never fast, and who fails many clients gains nothing by
  /// being rid of them.
  void add(Outcome outcome, std::uint64_t due_ns, std::uint64_t latency_ns, std::size_t backend = 0);

  /// Writes an object: counts of each outcome, percentiles in ms of all and of the answered alone, answers of each
  /// backend, and the same by second.
  void write(std::ostream& to) const;

 private:
  struct Second {
    std::vector<std::uint64_t> latencies_ns;
    std::uint64_t errors = 0;
  };

  const std::uint64_t limit_ns_;
  std::array<std::uint64_t, kOutcomes> outcomes_{};
  std::vector<std::uint64_t> latencies_ns_;
  std::vector<std::uint64_t> answered_ns_;
  std::vector<std::uint64_t> answered_by_;
  std::vector<Second> seconds_;
};

/// Nearest rank of a share from 0 to 1, in milliseconds; 0 where there are no values.
double percentileMs(std::vector<std::uint64_t> values_ns, double share);

}  // namespace lemonade::bench
