// SPDX-License-Identifier: MIT
#include "format.h"

#include <lemonade/sdk/printable.hpp>

#include <rapidjson/encodings.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/writer.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace lemonade::access_log {

namespace {

/// What RapidJSON writes to.
struct LineStream {
  using Ch = char;
  std::string& line;
  void Put(char c) { line.push_back(c); }
  void Flush() {}
};

bool isPlain(char c) noexcept { return c > ' ' && c < 0x7f && c != '"' && c != '\\'; }

/// Valid UTF-8: the text itself, or a copy in which what is none was replaced.
std::string_view mended(std::string_view text, std::string& copy) {
  if (std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; })) return text;
  constexpr std::string_view kReplacement = "\xef\xbf\xbd";
  copy.clear();
  LineStream ignored{copy};
  for (std::size_t at = 0; at < text.size();) {
    rapidjson::MemoryStream stream(text.data() + at, text.size() - at);
    const std::size_t before = copy.size();
    const bool valid = rapidjson::UTF8<>::Validate(stream, ignored) && stream.Tell() <= text.size() - at;
    if (!valid) {
      copy.resize(before);
      copy += kReplacement;
    }
    at += valid ? stream.Tell() : 1;
  }
  return copy;
}

}  // namespace

Format::Format(std::string_view text)
    : kind_(text == "text"   ? Kind::text
            : text == "json" ? Kind::json
                             : Kind::custom) {
  if (kind_ == Kind::custom)
    read(text);
  else
    takeUsual();
}

void Format::takeUsual() {
  for (const auto& field : fields()) {
    if (!field.usual) continue;
    const std::string name(field.name);
    if (kind_ == Kind::text)
      pieces_.push_back({(pieces_.empty() ? "" : " ") + name + "=", &field});
    else
      pieces_.push_back({(pieces_.empty() ? "{\"" : ",\"") + name + "\":", &field});
  }
}

void Format::read(std::string_view text) {
  std::string before;
  bool any = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (static_cast<unsigned char>(c) < ' ')
      throw std::invalid_argument("a line break or another control character is no part of a format");
    if (c != '{' && c != '}') {
      before += c;
      continue;
    }
    if (at + 1 < text.size() && text[at + 1] == c) {
      before += c;
      ++at;
      continue;
    }
    const auto end = text.find('}', at);
    if (c == '}' || end == std::string_view::npos)
      throw std::invalid_argument("a brace is not closed, or not opened; write {{ and }} for braces as they are");
    pieces_.push_back({std::exchange(before, {}), &fieldOf(text.substr(at + 1, end - at - 1))});
    any = true;
    at = end;
  }
  if (!any) throw std::invalid_argument(R"(give "text", "json" or a format with fields, such as "{client} {backend}")");
  if (!before.empty()) pieces_.push_back({before, nullptr});
}

void Format::append(std::string& line, const lemonade_session_record_t& record) {
  switch (kind_) {
    case Kind::text:
      return appendText(line, record);
    case Kind::json:
      return appendJson(line, record);
    case Kind::custom:
      return appendCustom(line, record);
  }
}

/// False for a text.
bool Format::appendNumber(std::string& line, const Value& value) {
  switch (value.kind) {
    case Value::Kind::count:
      appendCount(line, value.number);
      return true;
    case Value::Kind::millis:
      appendMillis(line, value.number);
      return true;
    case Value::Kind::time:
      times_.append(line, value.number);
      return true;
    case Value::Kind::boolean:
      line += value.number != 0 ? "true" : "false";
      return true;
    case Value::Kind::text:
    case Value::Kind::none:
      break;
  }
  return false;
}

void Format::appendText(std::string& line, const lemonade_session_record_t& record) {
  for (const auto& [before, field] : pieces_) {
    line += before;
    const Value value = field->of(record);
    if (appendNumber(line, value)) continue;
    const bool bare = value.text != "-" &&
                      std::all_of(value.text.begin(), value.text.end(), [](char c) { return isPlain(c) && c != '='; });
    if (value.text.empty())
      line += '-';
    else if (bare)
      line += value.text;
    else
      line += sdk::quoted(value.text, value.text.size());
  }
}

void Format::appendCustom(std::string& line, const lemonade_session_record_t& record) {
  constexpr std::string_view kHex = "0123456789abcdef";
  for (const auto& [before, field] : pieces_) {
    line += before;
    if (field == nullptr) continue;
    const Value value = field->of(record);
    if (appendNumber(line, value)) continue;
    if (value.text.empty()) line += '-';
    for (const char c : value.text) {
      const auto byte = static_cast<unsigned char>(c);
      if (isPlain(c))
        line += c;
      else
        ((line += "\\x") += kHex[byte >> 4]) += kHex[byte & 15];
    }
  }
}

// The library is asked only where a text is more than printable ASCII: for each text and name it takes twice the time
// of all that a line in text takes.
void Format::appendJson(std::string& line, const lemonade_session_record_t& record) {
  for (const auto& [before, field] : pieces_) {
    line += before;
    const Value value = field->of(record);
    if (value.kind == Value::Kind::text) {
      appendJsonText(line, value.text);
    } else if (value.kind == Value::Kind::time) {
      line += '"';
      times_.append(line, value.number);
      line += '"';
    } else if (!appendNumber(line, value)) {
      line += "null";
    }
  }
  line += '}';
}

void Format::appendJsonText(std::string& line, std::string_view text) {
  if (std::all_of(text.begin(), text.end(), [](char c) { return isPlain(c) || c == ' '; })) {
    ((line += '"') += text) += '"';
    return;
  }
  LineStream stream{line};
  rapidjson::Writer<LineStream> json(stream);
  const std::string_view valid = mended(text, scratch_);
  json.String(valid.data(), static_cast<rapidjson::SizeType>(valid.size()));
}

}  // namespace lemonade::access_log
