// SPDX-License-Identifier: MIT
//
// C++ face of lemonade/log_fields.h: lines of the log with fields, whatever the host knows.
//
//   const lemonade::sdk::FieldLog log(host);
//   log.write(LEMONADE_LOG_INFO, "rebalanced", {field("moved", 12), field("took_ms", 3.25, 2)});
#pragma once

#include <lemonade/log_fields.h>
#include <lemonade/sdk/plugin.hpp>

#include <concepts>
#include <cstdio>
#include <initializer_list>

namespace lemonade::sdk {

/// One name=value of a line; borrows its texts.
inline lemonade_log_field_t field(std::string_view name, std::string_view text) noexcept {
  return {str(name), str(text), 0, 0, LEMONADE_FIELD_TEXT, 0};
}
template <std::integral T>
requires(!std::same_as<T, bool>) lemonade_log_field_t field(std::string_view name, T number)
noexcept { return {str(name), {}, static_cast<std::int64_t>(number), 0, LEMONADE_FIELD_INTEGER, 0}; }
inline lemonade_log_field_t field(std::string_view name, std::same_as<bool> auto truth) noexcept {
  return {str(name), {}, truth ? 1 : 0, 0, LEMONADE_FIELD_BOOLEAN, 0};
}
/// places: digits after the point.
inline lemonade_log_field_t field(std::string_view name, double number, std::uint32_t places) noexcept {
  return {str(name), {}, 0, number, LEMONADE_FIELD_NUMBER, places};
}

/// A copyable handle, as the host's is.
class FieldLog {
 public:
  explicit FieldLog(Host host) noexcept : host_(host) {
    const auto& table = host_.table();
    if (LEMONADE_HAS(&table, lemonade_host_t, get_extension) && table.get_extension != nullptr)
      fields_ = static_cast<const lemonade_log_fields_t*>(
          table.get_extension(table.context, str(LEMONADE_LOG_FIELDS_EXTENSION)));
  }

  /// Writes one line. level is LEMONADE_LOG_*. May throw std::bad_alloc with a host that has no fields. [any]
  void write(std::uint32_t level, std::string_view message, std::span<const lemonade_log_field_t> fields) const {
    if (fields_ == nullptr) return host_.log(level, text(message, fields));
    fields_->write(host_.table().context, level, str(message), fields.data(), static_cast<std::uint32_t>(fields.size()),
                   sizeof(lemonade_log_field_t));
  }
  void write(std::uint32_t level, std::string_view message, std::initializer_list<lemonade_log_field_t> fields) const {
    write(level, message, std::span(fields.begin(), fields.size()));
  }

 private:
  static std::string text(std::string_view message, std::span<const lemonade_log_field_t> fields) {
    std::string line(message);
    for (const auto& one : fields) {
      if (!line.empty()) line += ' ';
      line.append(view(one.name)).append("=").append(valueOf(one));
    }
    return line;
  }

  static std::string valueOf(const lemonade_log_field_t& one) {
    if (one.type == LEMONADE_FIELD_TEXT) return word(view(one.text));
    if (one.type == LEMONADE_FIELD_INTEGER) return std::to_string(one.integer);
    if (one.type == LEMONADE_FIELD_BOOLEAN) return one.integer != 0 ? "true" : "false";
    char digits[400];  // the largest double has 309 before the point
    std::snprintf(digits, sizeof(digits), "%.*f", static_cast<int>(std::min(one.places, 17U)), one.number);
    return digits;
  }

  /// A value that cannot be taken for several words of the line, nor end it.
  static std::string word(std::string_view text) {
    bool plain = !text.empty();
    for (const char c : text) plain = plain && static_cast<unsigned char>(c) > ' ' && c != '"' && c != '\\' && c != '=';
    if (plain) return std::string(text);
    std::string quoted = "\"";
    for (const char c : text) {
      if (c == '"' || c == '\\') quoted += '\\';
      quoted += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    }
    return quoted + '"';
  }

  Host host_;
  const lemonade_log_fields_t* fields_ = nullptr;
};

}  // namespace lemonade::sdk
