// SPDX-License-Identifier: MIT
//
// What can be said of a session, by name: the fields of every format.
#pragma once

#include <lemonade/metrics_sink.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace lemonade::access_log {

/// The value of a field, borrowed from its record.
struct Value {
  enum class Kind {
    text,
    count,
    millis,   ///< number is in nanoseconds
    time,     ///< number is in nanoseconds since 1970
    boolean,  ///< number is 0 or 1
    none,     ///< not known of this session
  };
  Kind kind = Kind::text;
  std::string_view text = {};
  std::uint64_t number = 0;
};

struct Field {
  std::string_view name;
  Value (*of)(const lemonade_session_record_t& record);
  bool usual;  ///< is part of "text" and "json"
};

/// All fields, in the order of a line.
std::span<const Field> fields() noexcept;

/// The field of a name. Throws std::invalid_argument, with the nearest name or all of them, where there is none.
const Field& fieldOf(std::string_view name);

/// When a session ended, in nanoseconds since 1970.
std::uint64_t endOf(const lemonade_session_record_t& record) noexcept;

/// Writes times as RFC 3339 and RFC 5424 have them: "2026-11-28T23:59:59.123456Z". One thread.
class TimeWriter {
 public:
  void append(std::string& line, std::uint64_t unix_ns);

 private:
  std::uint64_t second_ = ~std::uint64_t{0};  // that text_ is of
  char text_[32] = {};
};

/// Milliseconds with three digits behind the point.
void appendMillis(std::string& line, std::uint64_t ns);
void appendCount(std::string& line, std::uint64_t count);

}  // namespace lemonade::access_log
