// SPDX-License-Identifier: MIT
//
// Snapshots and readers for the checks of metrics sinks.
#pragma once

#include "validate/harness.h"

#include <lemonade/metrics_sink.h>

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace lemonade::validate {

/// A snapshot with one family of each type, and as many series of each as asked for.
class Snapshot {
 public:
  /// labels: values for the label of each series, in turn. extra: as everywhere.
  Snapshot(std::uint32_t series, std::vector<std::string> labels, std::vector<double> values, std::size_t extra = 0);
  const lemonade_snapshot_t* get() noexcept { return snapshot_.get(); }

 private:
  lemonade_series_t seriesAt(std::uint32_t index, bool histogram);

  std::vector<std::string> labels_;
  std::vector<double> values_;
  std::deque<std::vector<lemonade_label_t>> label_rows_;
  std::vector<lemonade_bucket_t> buckets_;
  std::vector<lemonade_fine_bucket_t> fine_buckets_;  // of the same samples
  std::deque<GuardedBytes> series_;
  GuardedBytes families_;
  Guarded<lemonade_snapshot_t> snapshot_;
};

/// Whether the sink has the slot for session records.
inline bool takesRecords(const lemonade_metrics_sink_t& table) noexcept {
  return LEMONADE_HAS(&table, lemonade_metrics_sink_t, session_records) && table.session_records != nullptr;
}

/// A batch of session records: one for each end that there is and one that there is not, of so many sessions.
class Records {
 public:
  /// texts: for every text of the records, in turn. number: of every time and count. extra: as everywhere.
  Records(std::uint32_t count, std::vector<std::string> texts, std::uint64_t number, std::size_t extra = 0);
  const lemonade_session_batch_t* get() noexcept { return batch_.get(); }

 private:
  lemonade_session_record_t recordAt(std::uint32_t index, std::uint64_t number) const;

  const std::vector<std::string> texts_;
  GuardedBytes rows_;
  Guarded<lemonade_session_batch_t> batch_;
};

/// A reader that takes so many bytes and then no more.
class Reader {
 public:
  explicit Reader(std::uint64_t takes = ~std::uint64_t{0}) : left_(takes) {}
  lemonade_writer_t writer() noexcept;
  const std::string& text() const noexcept { return text_; }
  bool refused() const noexcept { return refused_ > 0; }
  bool writtenAfterRefusal() const noexcept { return refused_ > 1; }

 private:
  static lemonade_status_t write(void* context, const void* data, std::uint64_t size) noexcept;
  std::string text_;
  std::uint64_t left_;
  int refused_ = 0;
};

}  // namespace lemonade::validate
