// SPDX-License-Identifier: MIT
//
// Drives a metrics sink as the host does, from its real .so, with snapshots that a test writes. One thread.
#pragma once

#include <lemonade/metrics_sink.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace lemonade::test {

/// A snapshot as a test writes it: families in the order in which they were begun.
class SnapshotText {
 public:
  using Labels = std::vector<std::pair<std::string, std::string>>;

  SnapshotText& counter(const std::string& name) { return family(name, LEMONADE_METRIC_COUNTER); }
  SnapshotText& gauge(const std::string& name) { return family(name, LEMONADE_METRIC_GAUGE); }
  SnapshotText& histogram(const std::string& name) { return family(name, LEMONADE_METRIC_HISTOGRAM); }
  /// A series of the family begun last.
  SnapshotText& series(double value, const Labels& labels = {});
  /// The same of a histogram: samples in each bucket alone, by its upper bound, and the sum of all.
  SnapshotText& series(const std::vector<std::pair<double, std::uint64_t>>& buckets, double sum,
                       const Labels& labels = {});
  SnapshotText& at(std::uint64_t unix_ns, std::uint64_t uptime_ns);

 private:
  friend class SinkFixture;
  struct Series {
    Labels labels;
    std::vector<lemonade_label_t> raw_labels;
    std::vector<lemonade_bucket_t> buckets;
    double value = 0;
    std::uint64_t count = 0;
  };
  struct Family {
    std::string name;
    std::uint32_t type;
    std::deque<Series> series;
    std::vector<lemonade_series_t> raw;
  };

  SnapshotText& family(const std::string& name, std::uint32_t type);

  std::deque<Family> families_;
  std::uint64_t unix_ns_ = 1'700'000'000'000'000'000;
  std::uint64_t uptime_ns_ = 60'000'000'000;
};

class SinkFixture {
 public:
  /// `path` is the plugin's file; `options` overrides defaults of its schema, integers and durations as integers
  /// (durations in milliseconds). Throws std::runtime_error with "key: message" where the sink refuses.
  explicit SinkFixture(const std::string& path, const std::map<std::string, std::string>& options = {});
  ~SinkFixture();
  SinkFixture(const SinkFixture&) = delete;
  SinkFixture& operator=(const SinkFixture&) = delete;

  /// Pushes a snapshot with so much time; "" or why it failed.
  std::string flush(SnapshotText& snapshot, std::chrono::milliseconds time = std::chrono::seconds(10));

  /// Hands over sessions that have ended; "" or why that failed.
  std::string sessions(const std::vector<lemonade_session_record_t>& records,
                       std::chrono::milliseconds time = std::chrono::seconds(10));
  /// Has it open anew what it writes to; "" or why that failed.
  std::string reopen();

  /// A number that the sink registered; 0 where there is none of the name.
  std::int64_t metric(const std::string& name) const;
  const std::vector<std::string>& log() const { return log_; }

 private:
  void* image_ = nullptr;
  const lemonade_metrics_sink_t* table_ = nullptr;
  void* self_ = nullptr;
  lemonade_host_t host_{};
  std::map<std::string, lemonade_metric_cell_t> cells_;
  std::vector<std::string> log_;
};

}  // namespace lemonade::test
