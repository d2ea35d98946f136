// SPDX-License-Identifier: MIT
#include "plugin/version_order.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

namespace lemonade::plugin {

namespace {

constexpr std::string_view kDigits = "0123456789";
constexpr std::size_t kNumbers = 3;

struct SemanticVersion {
  std::vector<std::string_view> numbers;      // kNumbers of them
  std::vector<std::string_view> pre_release;  // none: it is a release
};

std::vector<std::string_view> splitAtDots(std::string_view text) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto dot = text.find('.');
    parts.push_back(text.substr(0, dot));
    if (dot == std::string_view::npos) return parts;
    text.remove_prefix(dot + 1);
  }
}

bool isNumber(std::string_view text) {
  return !text.empty() && text.find_first_not_of(kDigits) == std::string_view::npos;
}

std::optional<SemanticVersion> parseVersion(std::string_view text) {
  text = text.substr(0, text.find('+'));
  const auto dash = text.find('-');
  SemanticVersion version{splitAtDots(text.substr(0, dash)), {}};
  if (dash != std::string_view::npos) version.pre_release = splitAtDots(text.substr(dash + 1));
  const bool is_one = version.numbers.size() == kNumbers &&
                      std::all_of(version.numbers.begin(), version.numbers.end(), isNumber) &&
                      std::none_of(version.pre_release.begin(), version.pre_release.end(),
                                   [](std::string_view part) { return part.empty(); });
  return is_one ? std::optional(std::move(version)) : std::nullopt;
}

/// Numbers of any length.
std::weak_ordering compareNumbers(std::string_view a, std::string_view b) {
  const auto plain = [](std::string_view number) {
    return number.substr(std::min(number.find_first_not_of('0'), number.size()));
  };
  a = plain(a);
  b = plain(b);
  return a.size() != b.size() ? a.size() <=> b.size() : a <=> b;
}

std::weak_ordering compareParts(std::string_view a, std::string_view b) {
  const bool a_counts = isNumber(a), b_counts = isNumber(b);
  if (a_counts && b_counts) return compareNumbers(a, b);
  if (a_counts != b_counts) return a_counts ? std::weak_ordering::less : std::weak_ordering::greater;
  return a <=> b;
}

}  // namespace

std::weak_ordering compareVersions(std::string_view a, std::string_view b) {
  const auto one = parseVersion(a), other = parseVersion(b);
  if (!one || !other) return one.has_value() <=> other.has_value();
  for (std::size_t i = 0; i < kNumbers; ++i)
    if (const auto order = compareNumbers(one->numbers[i], other->numbers[i]); order != 0) return order;
  if (one->pre_release.empty() || other->pre_release.empty())
    return one->pre_release.empty() <=> other->pre_release.empty();
  const auto common = std::min(one->pre_release.size(), other->pre_release.size());
  for (std::size_t i = 0; i < common; ++i)
    if (const auto order = compareParts(one->pre_release[i], other->pre_release[i]); order != 0) return order;
  return one->pre_release.size() <=> other->pre_release.size();
}

}  // namespace lemonade::plugin
