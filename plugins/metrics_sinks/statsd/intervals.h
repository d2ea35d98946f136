// SPDX-License-Identifier: MIT
//
// What came since the snapshot before: the host's numbers grow from the start of the process, those of statsd begin
// anew with every interval.
#pragma once

#include <lemonade/sdk/metrics_sink.hpp>

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace lemonade::statsd {

/// Samples of a histogram that are new, by bucket.
struct Samples {
  std::vector<double> uppers;  ///< inclusive, ascending; the last is +infinity
  std::vector<double> counts;  ///< in each bucket alone
  double total = 0;

  /// The upper end of a bucket; of the last one, which has none, its lower end.
  double end(std::size_t bucket) const noexcept;
  /// Linear within the bucket. share is from 0 to 1. 0 where there is no sample.
  double quantile(double share) const noexcept;
};

/// Remembers one snapshot. One thread.
class Intervals {
 public:
  /// What is asked for from now on is of the next snapshot.
  void begin();

  /// How much a counter has grown. One that was not there before began at 0; one that shrank began anew. In the first
  /// snapshot nothing has: what was before is not known.
  double growth(const lemonade_series_t& series);
  Samples samples(const lemonade_series_t& series);

 private:
  /// By the id of a series: the value of a counter, or the samples in each bucket of a histogram.
  using Numbers = std::unordered_map<std::uint64_t, std::vector<double>>;

  /// How much number `index` of a series has grown.
  double since(std::uint64_t id, std::size_t index, double now);

  Numbers before_, now_;
  std::uint64_t snapshots_ = 0;
};

}  // namespace lemonade::statsd
