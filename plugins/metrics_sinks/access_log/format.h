// SPDX-License-Identifier: MIT
//
// A session as a line: as text, as JSON, or as the operator wants it. Whatever names and addresses hold, a line stays
// one line, and a field ends where it says.
//
//   "text"     name=value, separated by spaces. A value with something else than printable ASCII, a space, a quote, "="
//              or a backslash is quoted, with \r \n \t \" \\ and \xHH. An empty one is "-"
//   "json"     one object; what is no UTF-8 becomes U+FFFD
//   "{a} {b}"  as given, with fields in braces, and "{{" and "}}" for braces. In values what would be quoted in a text
//              is written as \xHH, but for "="; an empty one is "-"
#pragma once

#include "fields.h"

#include <string>
#include <string_view>
#include <vector>

namespace lemonade::access_log {

class Format {
 public:
  /// Throws std::invalid_argument, which says what is wrong.
  explicit Format(std::string_view text);

  /// Appends the line of a session, without the end of the line. One thread.
  void append(std::string& line, const lemonade_session_record_t& record);

 private:
  enum class Kind { text, json, custom };
  /// Some text, and the field behind it; of a custom format there may be none.
  struct Piece {
    std::string before;
    const Field* field;
  };

  void read(std::string_view text);
  void takeUsual();
  void appendText(std::string& line, const lemonade_session_record_t& record);
  void appendJson(std::string& line, const lemonade_session_record_t& record);
  void appendJsonText(std::string& line, std::string_view text);
  void appendCustom(std::string& line, const lemonade_session_record_t& record);
  bool appendNumber(std::string& line, const Value& value);

  Kind kind_;
  std::vector<Piece> pieces_;
  TimeWriter times_;
  std::string scratch_;
};

}  // namespace lemonade::access_log
