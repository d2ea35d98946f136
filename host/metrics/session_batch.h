// SPDX-License-Identifier: MIT
//
// Records of sessions that have ended, as sinks get them: addresses as text, times of the wall clock. One batch is
// shared by all sinks that take records.
#pragma once

#include "balance/session_records.h"

#include <lemonade/metrics_sink.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace lemonade::metrics {

class SessionBatch {
 public:
  static constexpr std::size_t kMost = 1'000;  ///< records in one

  /// Adds the copy of a record. unix_minus_monotonic_ns turns its times into those of the wall clock. Before it is
  /// shared.
  void add(const SessionRecord& record, std::uint64_t unix_minus_monotonic_ns);
  std::size_t size() const noexcept { return records_.size(); }

  /// As the ABI has it, for a sink that has lost so many records before. Valid as long as this object. Any thread.
  lemonade_session_batch_t raw(std::uint64_t dropped) const noexcept;

 private:
  lemonade_str_t keep(std::string_view text);

  std::vector<lemonade_session_record_t> records_;
  std::vector<std::unique_ptr<std::string>> texts_;  // each grows only as far as it was reserved
};

}  // namespace lemonade::metrics
