// SPDX-License-Identifier: MIT
#include "cli/style.h"

#include "base/log_line.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace lemonade::cli {

namespace {

constexpr const char* kReset = "\033[0m";

const char* codeOf(Colour colour) {
  switch (colour) {
    case Colour::kGood:
      return "\033[32m";
    case Colour::kWarning:
      return "\033[33m";
    case Colour::kBad:
      return "\033[31m";
    case Colour::kFaint:
      return "\033[2m";
    case Colour::kBold:
      return "\033[1m";
    case Colour::kNone:
      break;
  }
  return "";
}

std::string withPlaces(double value, int places) {
  std::array<char, 64> text{};
  const int size = std::snprintf(text.data(), text.size(), "%.*f", places, value);
  return {text.data(), static_cast<std::size_t>(std::max(size, 0))};
}

/// As many places as make three digits.
std::string threeDigits(double value) { return withPlaces(value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0); }

}  // namespace

bool wantsColour() {
  const char* const none = std::getenv("NO_COLOR");
  const char* const terminal = std::getenv("TERM");
  if ((none != nullptr && *none != '\0') || terminal == nullptr || std::string_view(terminal) == "dumb") return false;
  return ::isatty(STDOUT_FILENO) == 1;
}

std::string painted(std::string_view text, Colour colour, bool wanted) {
  if (!wanted || colour == Colour::kNone) return std::string(text);
  return codeOf(colour) + std::string(text) + kReset;
}

std::size_t widthOf(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string harmless(const std::string& text) {
  std::string result = log::validUtf8(text);
  for (char& c : result)
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = ' ';
  return result;
}

Table::Table(std::vector<std::string> head) : head_(std::move(head)) {}

std::string Table::text(bool colours) const {
  std::vector<std::size_t> widths;
  for (const auto& name : head_) widths.push_back(widthOf(name));
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < row.size() && i < widths.size(); ++i)
      widths[i] = std::max(widths[i], widthOf(row[i].text));
  std::string text;
  const auto put = [&](const Row& row) {
    std::string line;
    for (std::size_t i = 0; i < row.size() && i < widths.size(); ++i) {
      const std::string fill(widths[i] - widthOf(row[i].text), ' ');
      const auto cell = painted(row[i].text, row[i].colour, colours);
      line += (i == 0 ? "" : "  ") + (row[i].right ? fill + cell : cell + fill);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  };
  Row head;
  for (std::size_t i = 0; i < head_.size(); ++i) {
    const bool right = !rows_.empty() && i < rows_.front().size() && rows_.front()[i].right;
    head.push_back({head_[i], Colour::kBold, right});
  }
  put(head);
  for (const auto& row : rows_) put(row);
  return text;
}

Table::Cell number(std::string text, Colour colour) { return {std::move(text), colour, true}; }

std::string sparkline(const std::vector<double>& values, std::size_t width) {
  static constexpr std::array kBars = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  const std::size_t shown = std::min(values.size(), width);
  const auto first = values.end() - static_cast<std::ptrdiff_t>(shown);
  const double most = shown == 0 ? 0 : *std::max_element(first, values.end());
  std::string line(width - shown, ' ');
  for (auto value = first; value != values.end(); ++value) {
    const double share = most > 0 ? std::clamp(*value / most, 0.0, 1.0) : 0;
    line += kBars[static_cast<std::size_t>(std::lround(share * (kBars.size() - 1)))];
  }
  return line;
}

std::string countText(double count) {
  if (count < 1'000) return count == std::floor(count) ? withPlaces(count, 0) : threeDigits(count);
  if (count < 999'500) return threeDigits(count / 1e3) + "k";
  if (count < 999.5e6) return threeDigits(count / 1e6) + "M";
  return threeDigits(count / 1e9) + "G";
}

std::string millisText(double millis) {
  if (millis < 999.5) return threeDigits(millis) + " ms";
  return threeDigits(millis / 1e3) + " s";
}

std::string shareText(double share) { return threeDigits(share * 100) + " %"; }

std::string spanText(double seconds) {
  const auto whole = static_cast<std::uint64_t>(std::max(seconds, 0.0));
  const auto pair = [](std::uint64_t more, const char* unit, std::uint64_t less, const char* lesser) {
    return std::to_string(more) + unit + " " + std::to_string(less) + lesser;
  };
  if (whole < 60) return std::to_string(whole) + "s";
  if (whole < 3'600) return pair(whole / 60, "m", whole % 60, "s");
  if (whole < 86'400) return pair(whole / 3'600, "h", whole % 3'600 / 60, "m");
  return pair(whole / 86'400, "d", whole % 86'400 / 3'600, "h");
}

std::string timeText(const std::string& time) {
  std::string text = time.substr(0, 19);
  if (text.size() > 10 && text[10] == 'T') text[10] = ' ';
  return text;
}

}  // namespace lemonade::cli
