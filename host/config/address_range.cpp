// SPDX-License-Identifier: MIT
#include "config/address_range.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>

namespace lemonade::config {
namespace {

constexpr std::size_t kMostDigits = 9;

struct Range {
  std::size_t begin = 0;  // of its bracket
  std::size_t end = 0;    // behind its bracket
  std::uint32_t first = 0;
  std::uint32_t last = 0;
  std::size_t width = 0;  // digits, with zeros at the beginning; 0: as many as the number has
};

bool isDigits(std::string_view text) {
  return !text.empty() && text.size() <= kMostDigits &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::uint32_t numberIn(std::string_view digits) {
  std::uint32_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

/// The range whose bracket opens at a position; nothing where that is no range.
std::optional<Range> rangeAt(std::string_view text, std::size_t open) {
  const auto close = text.find(']', open);
  if (close == std::string_view::npos) return std::nullopt;
  const auto inner = text.substr(open + 1, close - open - 1);
  const auto dash = inner.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto first = inner.substr(0, dash);
  const auto last = inner.substr(dash + 1);
  if (!isDigits(first) || !isDigits(last)) return std::nullopt;
  return Range{open, close + 1, numberIn(first), numberIn(last), first[0] == '0' ? first.size() : 0};
}

/// Nothing where a bracket is neither a range nor that of an IPv6 address, which opens the text.
std::optional<std::vector<Range>> rangesIn(std::string_view text) {
  std::vector<Range> ranges;
  for (auto open = text.find('['); open != std::string_view::npos; open = text.find('[', open + 1)) {
    if (const auto range = rangeAt(text, open))
      ranges.push_back(*range);
    else if (open != 0)
      return std::nullopt;
  }
  return ranges;
}

std::string numberText(const Range& range, std::uint32_t number) {
  auto digits = std::to_string(number);
  if (digits.size() < range.width) digits.insert(0, range.width - digits.size(), '0');
  return digits;
}

}  // namespace

Result<std::vector<std::string>> expandRanges(std::string_view text) {
  const auto found = rangesIn(text);
  if (!found) return Error{"write a range as two numbers: [10-19]"};
  const auto& ranges = *found;
  std::size_t count = 1;
  for (const auto& range : ranges) {
    if (range.first > range.last) return Error{"a range counts up: write the lower number first, such as [10-19]"};
    count *= std::size_t{range.last - range.first} + 1;
    if (count > kMostAddresses)
      return Error{"that would be more than " + std::to_string(kMostAddresses) + " backends; give a smaller range"};
  }
  std::vector<std::string> texts{""};
  std::size_t done = 0;
  for (const auto& range : ranges) {
    std::vector<std::string> longer;
    for (const auto& before : texts)
      for (auto number = range.first; number <= range.last; ++number)
        longer.push_back(before + std::string(text.substr(done, range.begin - done)) + numberText(range, number));
    texts = std::move(longer);
    done = range.end;
  }
  for (auto& one : texts) one += text.substr(done);
  return texts;
}

}  // namespace lemonade::config
