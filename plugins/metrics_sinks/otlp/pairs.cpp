// SPDX-License-Identifier: MIT
#include "pairs.h"

#include <charconv>
#include <stdexcept>

namespace lemonade::otlp {

namespace {

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

/// The text with %HH as bytes; throws std::invalid_argument where it is cut or no byte.
std::string decoded(std::string_view text, const std::string& where) {
  std::string made;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      made += text[i];
      continue;
    }
    const auto digits = text.substr(i + 1, 2);
    unsigned byte = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
    if (digits.size() != 2 || error != std::errc() || end != digits.data() + 2)
      throw std::invalid_argument(where + " has a \"%\" without two hexadecimal digits; write it as %25");
    made += static_cast<char>(byte);
    i += 2;
  }
  return made;
}

}  // namespace

Pairs parsePairs(std::string_view text) {
  Pairs pairs;
  while (!trimmed(text).empty()) {
    const auto comma = text.find(',');
    const auto pair = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    const auto where = "pair " + std::to_string(pairs.size() + 1);
    const auto equals = pair.find('=');
    const auto name = trimmed(pair.substr(0, equals));
    if (equals == std::string_view::npos || name.empty())
      throw std::invalid_argument(where + " is not \"name=value\"; a comma in a value is %2C");
    pairs.emplace_back(name, decoded(trimmed(pair.substr(equals + 1)), where));
  }
  return pairs;
}

}  // namespace lemonade::otlp
