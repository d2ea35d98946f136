// SPDX-License-Identifier: MIT
#include "config/values.h"

namespace lemonade::config {
namespace {

std::string numberText(double value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

/// "0" for none, which is what a duration of nothing means everywhere.
std::string boundText(Duration bound) { return bound == Duration::zero() ? "0" : durationText(bound); }

}  // namespace

std::string rangeText(std::uint32_t minimum, std::uint32_t maximum) {
  return std::to_string(minimum) + " to " + std::to_string(maximum);
}

std::string rangeText(double minimum, double maximum) { return numberText(minimum) + " to " + numberText(maximum); }

std::string rangeText(Duration minimum, Duration maximum) { return boundText(minimum) + " to " + boundText(maximum); }

std::string wordsInQuotes(const char* const* words, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i)
    text += std::string(i == 0 ? "\"" : i + 1 == count ? " or \"" : ", \"") + words[i] + "\"";
  return text;
}

std::string wordsAsCode(const char* const* words, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += std::string(i == 0 ? "`" : ", `") + words[i] + "`";
  return text;
}

}  // namespace lemonade::config
