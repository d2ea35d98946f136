// SPDX-License-Identifier: MIT
#include "base/log_line.h"

#include <Poco/DateTimeFormatter.h>
#include <Poco/JSON/Object.h>
#include <Poco/Timestamp.h>
#include <Poco/UTF8Encoding.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <iterator>
#include <sstream>

namespace lemonade::log {
namespace {

constexpr std::array<std::string_view, 4> kLevelNames = {"ERROR", "WARN", "INFO", "DEBUG"};
constexpr std::array<std::string_view, 4> kFixedNames = {"time", "level", "component", "message"};
constexpr int kMostPlaces = 17;
constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

std::string timeText(std::int64_t unix_us) {
  return Poco::DateTimeFormatter::format(Poco::Timestamp(unix_us), "%Y-%m-%dT%H:%M:%sZ");
}

/// The first character of text, or its first byte where that begins no valid UTF-8.
struct Character {
  std::string_view bytes;
  int code = -1;  ///< the code point; negative where invalid
};

Character firstCharacter(std::string_view text) {
  static const Poco::UTF8Encoding utf8;
  const auto* data = reinterpret_cast<const unsigned char*>(text.data());
  const int wanted = utf8.sequenceLength(data, 1);
  if (wanted < 1 || static_cast<std::size_t>(wanted) > text.size() || !Poco::UTF8Encoding::isLegal(data, wanted)) {
    return {text.substr(0, 1), -1};
  }
  return {text.substr(0, static_cast<std::size_t>(wanted)), utf8.queryConvert(data, wanted)};
}

/// C0, DEL and C1, the two separators that many readers take for line ends, and the marks that reorder a line on
/// screen.
bool isControl(int code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x2028 && code <= 0x202e) ||
         (code >= 0x2066 && code <= 0x2069);
}

void appendHex(std::string& line, std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (const unsigned char byte : bytes) {
    line += "\\x";
    line += kDigits[byte >> 4];
    line += kDigits[byte & 15];
  }
}

/// quoted: within quotes, where the quote and the backslash are escaped as well.
void appendEscaped(std::string& line, std::string_view text, bool quoted) {
  while (!text.empty()) {
    const auto character = firstCharacter(text);
    text.remove_prefix(character.bytes.size());
    if (character.code == '\n') {
      line += "\\n";
    } else if (character.code == '\t') {
      line += "\\t";
    } else if (isControl(character.code)) {
      appendHex(line, character.bytes);
    } else {
      if (quoted && (character.code == '"' || character.code == '\\')) line += '\\';
      line += character.bytes;
    }
  }
}

void appendText(std::string& line, std::string_view value) {
  const bool plain = !value.empty() && std::all_of(value.begin(), value.end(), [](unsigned char c) {
    return c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != '=';
  });
  if (plain) {
    line += value;
    return;
  }
  line += '"';
  appendEscaped(line, value, true);
  line += '"';
}

template <class... Format>
void appendNumber(std::string& line, auto number, Format... format) {
  char digits[400];  // the largest double has 309 before the point
  const auto end = std::to_chars(std::begin(digits), std::end(digits), number, format...);
  line.append(digits, end.ptr);
}

void appendValue(std::string& line, const Value& value) {
  if (const auto* text = std::get_if<std::string_view>(&value.get())) return appendText(line, *text);
  if (const auto* truth = std::get_if<bool>(&value.get())) {
    line += *truth ? "true" : "false";
  } else if (const auto* number = std::get_if<std::int64_t>(&value.get())) {
    appendNumber(line, *number);
  } else if (const auto* count = std::get_if<std::uint64_t>(&value.get())) {
    appendNumber(line, *count);
  } else if (const auto* decimal = std::get_if<Decimal>(&value.get())) {
    appendNumber(line, decimal->number, std::chars_format::fixed, std::min(decimal->places, kMostPlaces));
  }
}

// JSON knows numbers as they are written, but none that are not finite.
Poco::Dynamic::Var jsonValue(const Value& value) {
  if (const auto* text = std::get_if<std::string_view>(&value.get())) return validUtf8(*text);
  if (const auto* truth = std::get_if<bool>(&value.get())) return *truth;
  if (const auto* number = std::get_if<std::int64_t>(&value.get())) return Poco::Int64{*number};
  if (const auto* count = std::get_if<std::uint64_t>(&value.get())) return Poco::UInt64{*count};
  std::string spelled;
  appendValue(spelled, value);
  if (!std::isfinite(std::get<Decimal>(value.get()).number)) return spelled;
  double rounded = 0;
  (void)std::from_chars(spelled.data(), spelled.data() + spelled.size(), rounded);
  return rounded;
}

std::string formatText(const Event& event) {
  std::string line = timeText(event.unix_us);
  line += ' ';
  line += kLevelNames[static_cast<std::size_t>(event.level)];
  line += ' ';
  appendEscaped(line, event.component, false);
  line += ':';
  if (!event.message.empty()) line += ' ';
  appendEscaped(line, event.message, false);
  for (const auto& field : event.fields) {
    line += ' ';
    appendEscaped(line, field.name, false);
    line += '=';
    appendValue(line, field.value);
  }
  line += '\n';
  return line;
}

std::string formatJson(const Event& event) {
  Poco::JSON::Object object(Poco::JSON_PRESERVE_KEY_ORDER);
  object.set("time", timeText(event.unix_us));
  object.set("level", std::string(kLevelNames[static_cast<std::size_t>(event.level)]));
  object.set("component", validUtf8(event.component));
  object.set("message", validUtf8(event.message));
  for (const auto& field : event.fields) {
    auto name = validUtf8(field.name);
    if (std::find(kFixedNames.begin(), kFixedNames.end(), name) != kFixedNames.end()) name += '_';
    object.set(name, jsonValue(field.value));
  }
  std::ostringstream line;
  object.stringify(line);
  line << '\n';
  return std::move(line).str();
}

}  // namespace

std::string printable(std::string_view text) {
  std::string line;
  appendEscaped(line, text, false);
  return line;
}

std::string validUtf8(std::string_view text) {
  std::string valid;
  valid.reserve(text.size());
  while (!text.empty()) {
    const auto character = firstCharacter(text);
    text.remove_prefix(character.bytes.size());
    valid += character.code < 0 ? kReplacementCharacter : character.bytes;
  }
  return valid;
}

std::string formatLine(const Event& event, Format format) {
  return format == Format::kJson ? formatJson(event) : formatText(event);
}

}  // namespace lemonade::log
