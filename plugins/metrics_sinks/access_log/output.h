// SPDX-License-Identifier: MIT
//
// Where lines go. One thread.
#pragma once

#include <lemonade/metrics_sink.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace lemonade::access_log {

/// What became of the lines of a batch.
struct Written {
  std::uint64_t lost = 0;    ///< lines
  std::string problem = {};  ///< why, for people; "" where none was lost
};

class Output {
 public:
  Output() = default;
  virtual ~Output() = default;
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  /// Takes a line, without its end, of this session; it is written by the next finish().
  virtual void add(std::string_view line, const lemonade_session_record_t& record) = 0;
  /// Writes what was added, whole lines only, until deadline_ns of the monotonic clock.
  virtual Written finish(std::uint64_t deadline_ns) = 0;
  /// Opens anew what it writes to. Throws std::runtime_error where that cannot be opened: then all stays as it was.
  virtual void reopen() = 0;
};

}  // namespace lemonade::access_log
