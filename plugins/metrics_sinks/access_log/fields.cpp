// SPDX-License-Identifier: MIT
#include "fields.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <ctime>
#include <iterator>
#include <stdexcept>

namespace lemonade::access_log {

namespace {

using Record = lemonade_session_record_t;

Value text(lemonade_str_t value) { return {Value::Kind::text, {value.data, static_cast<std::size_t>(value.size)}, 0}; }
Value count(std::uint64_t number) { return {Value::Kind::count, {}, number}; }
Value millis(std::uint64_t ns) { return {Value::Kind::millis, {}, ns}; }
Value time(std::uint64_t unix_ns) { return {Value::Kind::time, {}, unix_ns}; }
Value boolean(bool value) { return {Value::Kind::boolean, {}, value ? 1U : 0U}; }

/// Nothing where that is not known of the session.
Value acknowledgedIn(const Record& record) {
  if ((record.flags & LEMONADE_RECORD_IN_ACKNOWLEDGED) == 0) return {Value::Kind::none, {}, 0};
  return count(record.bytes_in_acknowledged);
}

constexpr Field kFields[] = {
    {"time", [](const Record& r) { return time(endOf(r)); }, true},
    {"started", [](const Record& r) { return time(r.started_unix_ns); }, false},
    {"listener", [](const Record& r) { return text(r.listener); }, true},
    {"pool", [](const Record& r) { return text(r.pool); }, true},
    {"backend", [](const Record& r) { return text(r.backend); }, true},
    {"backend_name", [](const Record& r) { return text(r.backend_name); }, false},
    {"backend_address", [](const Record& r) { return text(r.backend_address); }, true},
    {"client", [](const Record& r) { return text(r.client); }, true},
    {"peer", [](const Record& r) { return text(r.peer); }, true},
    {"reason", [](const Record& r) { return text(lemonade_end_text(r.reason)); }, true},
    {"error", [](const Record& r) { return boolean(lemonade_record_is_error(&r) != 0); }, true},
    {"unanswered", [](const Record& r) { return boolean((r.flags & LEMONADE_RECORD_UNANSWERED) != 0); }, false},
    {"attempts", [](const Record& r) { return count(r.attempts); }, true},
    {"queue_ms", [](const Record& r) { return millis(r.queue_ns); }, true},
    {"connect_ms", [](const Record& r) { return millis(r.connect_ns); }, true},
    {"first_byte_ms", [](const Record& r) { return millis(r.first_byte_ns); }, true},
    {"slowest_exchange_ms", [](const Record& r) { return millis(r.slowest_exchange_ns); }, true},
    {"duration_ms", [](const Record& r) { return millis(r.duration_ns); }, true},
    {"exchanges", [](const Record& r) { return count(r.exchanges); }, true},
    {"bytes_in", [](const Record& r) { return count(r.bytes_in); }, true},
    {"bytes_out", [](const Record& r) { return count(r.bytes_out); }, true},
    {"bytes_out_acked", [](const Record& r) { return count(r.bytes_out_acknowledged); }, true},
    {"bytes_in_acked", acknowledgedIn, true},
};

/// Why there is no such field, and all that there are.
std::string unknownField(std::string_view name) {
  std::string why = "there is no field {" + std::string(name.substr(0, 40)) + "}; the fields are";
  for (const auto& field : kFields) (why += &field == kFields ? " " : ", ") += field.name;
  return why;
}

void appendPadded(std::string& line, std::uint64_t number, std::size_t digits) {
  const auto text = std::to_string(number);
  line.append(digits - std::min(digits, text.size()), '0') += text;
}

}  // namespace

std::span<const Field> fields() noexcept { return kFields; }

const Field& fieldOf(std::string_view name) {
  const auto* const found =
      std::find_if(std::begin(kFields), std::end(kFields), [name](const Field& field) { return field.name == name; });
  if (found == std::end(kFields)) throw std::invalid_argument(unknownField(name));
  return *found;
}

std::uint64_t endOf(const lemonade_session_record_t& record) noexcept {
  return record.started_unix_ns + record.duration_ns;
}

void TimeWriter::append(std::string& line, std::uint64_t unix_ns) {
  constexpr std::uint64_t kSecond = 1'000'000'000;
  constexpr std::uint64_t kLastSecond = 253'402'300'799;  // of the year 9999
  const std::uint64_t second = std::min(unix_ns / kSecond, kLastSecond);
  if (second != second_) {
    const auto seconds = static_cast<std::time_t>(second);
    std::tm parts{};
    (void)::gmtime_r(&seconds, &parts);
    (void)std::strftime(text_, sizeof(text_), "%Y-%m-%dT%H:%M:%S", &parts);
    second_ = second;
  }
  line += text_;
  line += '.';
  appendPadded(line, unix_ns % kSecond / 1'000, 6);
  line += 'Z';
}

void appendMillis(std::string& line, std::uint64_t ns) {
  const std::uint64_t micros = ns / 1'000 + (ns % 1'000 >= 500 ? 1 : 0);
  appendCount(line, micros / 1'000);
  line += '.';
  appendPadded(line, micros % 1'000, 3);
}

void appendCount(std::string& line, std::uint64_t count) {
  char digits[20];
  const auto end = std::to_chars(std::begin(digits), std::end(digits), count).ptr;
  line.append(digits, end);
}

}  // namespace lemonade::access_log
