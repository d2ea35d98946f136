// SPDX-License-Identifier: MIT
#include "config/item.h"

#include "config/duration.h"
#include "config/tree.h"

#include <toml++/toml.h>

#include <algorithm>
#include <sstream>
#include <utility>

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

/// Where a node stands; what a variable says has no place of its own.
Source placeOf(const toml::node& node, const Source& otherwise) {
  return node.source().begin.line > 0 ? sourceOf(otherwise.file, node.source()) : otherwise;
}

}  // namespace

std::optional<bool> Item::boolean() const { return node.value_exact<bool>(); }
std::optional<std::int64_t> Item::integer() const { return node.value_exact<std::int64_t>(); }
std::optional<double> Item::number() const { return node.value_exact<double>(); }
std::optional<std::string> Item::text() const { return node.value_exact<std::string>(); }

bool Item::isTable() const { return node.is_table(); }

bool Item::isEmptyList() const {
  const auto* list = node.as_array();
  return list != nullptr && list->empty();
}

void Item::eachElement(const std::function<void(const Item&)>& visit) const {
  const auto* list = node.as_array();
  if (list == nullptr) return visit(*this);
  for (const auto& child : *list) visit({path, child, placeOf(child, source), findings});
}

void Item::eachEntry(const std::function<void(const std::string& name, const Item&)>& visit) const {
  const auto* table = node.as_table();
  if (table == nullptr) return;
  for (const auto& [key, child] : *table) {
    const std::string name(key.str());
    visit(name, {path + "." + name, child, placeOf(child, source), findings});
  }
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

std::optional<Duration> secondsOf(const Item& item, Duration minimum, Duration maximum) {
  const auto value = durationOf(item, minimum, maximum);
  if (!value || *value % std::chrono::seconds(1) == Duration::zero()) return value;
  item.refuse("give whole seconds");
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

OptionTable optionsOf(const Item& item) {
  OptionTable options;
  if (!item.isTable()) item.refuse("give a table of options: [" + item.path + "]");
  item.eachEntry([&options](const std::string& name, const Item& option) {
    const auto add = [&](auto value) { options.push_back({name, std::move(value), option.source}); };
    if (const auto boolean = option.boolean()) return add(*boolean);
    if (const auto integer = option.integer()) return add(*integer);
    if (const auto number = option.number()) return add(*number);
    if (auto text = option.text()) return add(std::move(*text));
    option.refuse("give a string, a number, true or false");
  });
  return options;
}

}  // namespace lemonade::config
