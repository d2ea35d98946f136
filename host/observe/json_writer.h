// SPDX-License-Identifier: MIT
//
// How the documents of the admin listener are written: each value behind its name, indented for people.
#pragma once

#include "base/json.h"

#include <Poco/DateTimeFormat.h>
#include <Poco/DateTimeFormatter.h>
#include <Poco/Timestamp.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace lemonade {

/// The writer of one document: each value behind its name. Nothing but the text is allocated, however many backends.
class Json {
 public:
  explicit Json(Text& text) : out_(text) { out_.SetIndent(' ', 2); }

  template <class Write>
  void object(Write write) {
    out_.StartObject();
    write();
    out_.EndObject();
  }
  template <class Write>
  void object(std::string_view name, Write write) {
    key(name);
    object(write);
  }
  template <class Items, class Write>
  void array(std::string_view name, const Items& items, Write write) {
    key(name);
    out_.StartArray();
    for (const auto& item : items) write(item);
    out_.EndArray();
  }
  template <class Value>
  void set(std::string_view name, const Value& value) {
    key(name);
    add(value);
  }
  void setNull(std::string_view name) {
    key(name);
    out_.Null();
  }
  void add(std::string_view text) { out_.String(text.data(), static_cast<rapidjson::SizeType>(text.size())); }
  void add(bool value) { out_.Bool(value); }
  void add(double value) { out_.Double(value); }
  void add(std::uint32_t value) { out_.Uint(value); }
  void add(std::uint64_t value) { out_.Uint64(value); }
  void add(std::int64_t value) { out_.Int64(value); }

 private:
  void key(std::string_view name) { out_.Key(name.data(), static_cast<rapidjson::SizeType>(name.size())); }

  rapidjson::PrettyWriter<Text, rapidjson::UTF8<>, rapidjson::UTF8<>, ThrowingAllocator> out_;
};

/// RFC 3339 with microseconds; null for never.
inline void setTime(Json& json, std::string_view name, std::uint64_t unix_ns) {
  if (unix_ns == 0) return json.setNull(name);
  const Poco::Timestamp time(static_cast<std::int64_t>(unix_ns / 1'000));
  json.set(name, std::string_view(Poco::DateTimeFormatter::format(time, Poco::DateTimeFormat::ISO8601_FRAC_FORMAT)));
}

inline void setText(Json& json, std::string_view name, const std::string& text) {
  json.set(name, std::string_view(text));
}

}  // namespace lemonade
