// SPDX-License-Identifier: MIT
#include "config/item.h"

#include <algorithm>
#include <sstream>

namespace lemonade::config {
namespace {

constexpr std::size_t kLongestQuote = 80;

/// The value as an error message shows it.
std::string shown(const toml::node& node) {
  if (const auto text = node.value_exact<std::string>()) {
    const bool cut = text->size() > kLongestQuote;
    return "\"" + text->substr(0, kLongestQuote) + (cut ? "...\"" : "\"");
  }
  if (const auto integer = node.value_exact<std::int64_t>()) return std::to_string(*integer);
  if (const auto boolean = node.value_exact<bool>()) return *boolean ? "true" : "false";
  if (const auto number = node.value_exact<double>()) {
    std::ostringstream text;
    text << *number;
    return text.str();
  }
  if (node.is_array()) return "a list";
  return node.is_table() ? "a table" : "a date or time";
}

}  // namespace

Source sourceOf(const std::string& file, const toml::source_region& region) {
  return {file, region.begin.line, region.begin.column};
}

Item Item::element(const toml::node& child) const {
  const bool placed = child.source().begin.line > 0;
  return {path, child, placed ? sourceOf(source.file, child.source()) : source, findings};
}

void Item::refuse(const std::string& mend) const { findings.error(source, path + " is " + shown(node) + "; " + mend); }

std::optional<std::uint32_t> integerOf(const Item& item, std::uint32_t minimum, std::uint32_t maximum) {
  const auto value = item.node.value_exact<std::int64_t>();
  if (value && *value >= minimum && *value <= maximum) return static_cast<std::uint32_t>(*value);
  item.refuse("give an integer from " + std::to_string(minimum) + " to " + std::to_string(maximum));
  return std::nullopt;
}

std::optional<Duration> durationOf(const Item& item, Duration minimum, Duration maximum) {
  std::optional<Duration> value;
  if (const auto millis = item.node.value_exact<std::int64_t>()) value = durationOfMillis(*millis);
  if (const auto text = item.node.value_exact<std::string>()) value = parseDuration(*text);
  if (value && *value >= minimum && *value <= maximum) return value;
  item.refuse("give \"10s\", \"500ms\", \"2m\" or integer milliseconds, from " + durationText(minimum) + " to " +
              durationText(maximum));
  return std::nullopt;
}

std::optional<double> numberOf(const Item& item, double minimum, double maximum) {
  const auto value = item.node.value<double>();  // which takes integers, but no text
  if (value && *value >= minimum && *value <= maximum) return value;
  std::ostringstream range;
  range << "give a number from " << minimum << " to " << maximum;
  item.refuse(range.str());
  return std::nullopt;
}

std::optional<bool> booleanOf(const Item& item) {
  const auto value = item.node.value_exact<bool>();
  if (!value) item.refuse("give true or false");
  return value;
}

std::optional<std::string> textOf(const Item& item, const std::string& mend) {
  auto value = item.node.value_exact<std::string>();
  const bool usable = value && !value->empty() &&
                      std::none_of(value->begin(), value->end(), [](unsigned char c) { return c < ' ' || c == 0x7f; });
  if (usable) return value;
  item.refuse(mend);
  return std::nullopt;
}

}  // namespace lemonade::config
