// SPDX-License-Identifier: MIT
#include "statuses.h"

#include <algorithm>
#include <charconv>

namespace {

constexpr unsigned kLeast = 100;
constexpr unsigned kMost = 599;

std::optional<unsigned> codeOf(std::string_view text) {
  unsigned code = 0;
  const auto* end = text.data() + text.size();
  const auto [rest, failed] = std::from_chars(text.data(), end, code);
  if (failed != std::errc{} || rest != end || code < kLeast || code > kMost) return std::nullopt;
  return code;
}

}  // namespace

std::optional<Statuses> Statuses::parse(std::string_view text) {
  Statuses statuses;
  for (const char c : text)
    if (c != ' ' && c != '\t') statuses.text_ += c;
  std::string_view rest = statuses.text_;
  while (true) {
    const auto item = rest.substr(0, rest.find(','));
    const auto dash = item.find('-');
    const auto first = codeOf(item.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : codeOf(item.substr(dash + 1));
    if (!first || !last || *first > *last) return std::nullopt;
    statuses.ranges_.emplace_back(*first, *last);
    if (item.size() == rest.size()) return statuses;
    rest.remove_prefix(item.size() + 1);
  }
}

bool Statuses::contain(unsigned status) const noexcept {
  return std::any_of(ranges_.begin(), ranges_.end(),
                     [status](const auto& range) { return range.first <= status && status <= range.second; });
}
