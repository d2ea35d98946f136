// SPDX-License-Identifier: MIT
#include "head.h"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace {

constexpr std::string_view kBlanks = " \t";

bool isDigit(char c) noexcept { return c >= '0' && c <= '9'; }

/// A character of a "token" of RFC 9110, section 5.6.2.
bool isOfName(char c) noexcept {
  if (std::isalnum(static_cast<unsigned char>(c)) != 0) return true;
  return c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::string small(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

/// All of it a number without a sign.
template <class Number>
std::optional<Number> numberOf(std::string_view text) {
  Number number = 0;
  const auto [rest, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || failed != std::errc{} || rest != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

Head::Line Head::take(std::string_view line) {
  // A lone CR could end a line for one reader and not for another.
  if (line.find('\r') != std::string_view::npos) return Line::kBad;
  if (status_ == 0) return takeStatus(line) ? Line::kMore : Line::kBad;
  if (line.empty()) return endHeader() ? Line::kLast : Line::kBad;
  return takeHeader(line) ? Line::kMore : Line::kBad;
}

// HTTP/d.d, blanks, a code, and a reason or none.
bool Head::takeStatus(std::string_view line) {
  constexpr std::string_view protocol = "HTTP/";
  if (line.size() < 9 || line.substr(0, protocol.size()) != protocol) return false;
  if (!isDigit(line[5]) || line[6] != '.' || !isDigit(line[7])) return false;
  line.remove_prefix(8);
  const auto begin = line.find_first_not_of(kBlanks);
  if (begin == 0 || begin == std::string_view::npos) return false;
  line.remove_prefix(begin);
  const auto code = numberOf<unsigned>(line.substr(0, line.find_first_of(kBlanks)));
  status_ = code.value_or(0);
  return status_ != 0;
}

bool Head::takeHeader(std::string_view line) {
  if (kBlanks.find(line[0]) != std::string_view::npos) {
    if (name_.empty()) return false;
    (value_ += ' ') += line;
    return true;
  }
  if (!endHeader()) return false;
  const auto colon = line.find(':');
  if (colon == 0 || colon == std::string_view::npos) return false;
  const auto name = line.substr(0, colon);
  if (!std::all_of(name.begin(), name.end(), isOfName)) return false;
  name_ = small(name);
  value_ = line.substr(colon + 1);
  return true;
}

bool Head::endHeader() {
  const auto value = trimmed(value_);
  if (name_ == "content-length") return takeLengths(value);
  if (name_ != "transfer-encoding") return true;
  if (chunked_ || small(value) != "chunked") return false;
  chunked_ = true;
  return true;
}

// One, or the same one several times.
bool Head::takeLengths(std::string_view list) {
  while (true) {
    const auto comma = list.find(',');
    const auto length = numberOf<std::uint64_t>(trimmed(list.substr(0, comma)));
    if (!length || (length_ && *length_ != *length)) return false;
    length_ = length;
    if (comma == std::string_view::npos) return true;
    list.remove_prefix(comma + 1);
  }
}
