// SPDX-License-Identifier: MIT
//
// Since when each cumulative series has been counting, which its receiver needs to tell a restart from a fault.
#pragma once

#include <lemonade/sdk/metrics_sink.hpp>

#include <cstdint>
#include <unordered_map>

namespace lemonade::otlp {

/// One thread.
class StartTimes {
 public:
  /// The next snapshot begins.
  void begin(const sdk::Snapshot& snapshot);

  /// When the series began, in nanoseconds since 1970: with the process where the first snapshot has it, unless that
  /// process took numbers over from another, whose beginning is not known and counts as now; else after the snapshot
  /// before, as also where its number went back.
  std::uint64_t of(const lemonade_series_t& series);

 private:
  struct Seen {
    std::uint64_t start_ns;
    double number;
  };

  std::unordered_map<std::uint64_t, Seen> before_, now_;  // by the id of a series
  std::uint64_t first_start_ns_ = 0;                      // of the series of the first snapshot
  std::uint64_t time_ns_ = 0;                             // of this snapshot
  std::uint64_t before_ns_ = 0;                           // of the one before; 0: there is none
};

}  // namespace lemonade::otlp
