// SPDX-License-Identifier: MIT
#include "config/change.h"

#include "config/duration.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

namespace lemonade::config {
namespace {

constexpr std::array<std::pair<std::int64_t, const char*>, 4> kShownUnits = {
    {{1'000'000'000, "s"}, {1'000'000, "ms"}, {1'000, "us"}, {1, "ns"}}};

const char* levelText(log::Level level) {
  constexpr const char* kNames[] = {"error", "warn", "info", "debug"};
  return kNames[static_cast<std::size_t>(level)];
}

/// Two that are no number are the same: an option that says "nan" has not changed.
bool sameValue(const OptionValue& a, const OptionValue& b) {
  const auto* one = std::get_if<double>(&a.value);
  const auto* other = std::get_if<double>(&b.value);
  const bool none = one != nullptr && other != nullptr && std::isnan(*one) && std::isnan(*other);
  return none || a.value == b.value;
}

bool sameOptions(const OptionTable& a, const OptionTable& b) {
  return std::is_permutation(a.begin(), a.end(), b.begin(), b.end(), [](const auto& one, const auto& other) {
    return one.key == other.key && sameValue(one, other);
  });
}

}  // namespace

std::string show(bool value) { return value ? "true" : "false"; }

std::string show(std::uint32_t value) { return std::to_string(value); }

std::string show(double value) {
  std::array<char, 32> text;
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), end};
}

std::string show(Duration value) {
  for (const auto& [size, unit] : kShownUnits) {
    if (value.count() % size == 0) return std::to_string(value.count() / size) + unit;
  }
  return {};
}

std::string show(const std::string& value) { return value.empty() ? "\"\"" : value; }

std::string show(const std::map<std::string, std::string>& values) {
  std::string text;
  for (const auto& [name, value] : values) text += (text.empty() ? "" : ", ") + name + " = " + show(value);
  return "{" + text + "}";
}

std::string show(const std::vector<std::string>& values) {
  std::string text;
  for (const auto& value : values) text += (text.empty() ? "" : ", ") + value;
  return "[" + text + "]";
}

std::string show(const log::Levels& levels) {
  std::string text = levelText(levels.all);
  for (const auto& [component, level] : levels.components) text += "," + component + "=" + levelText(level);
  return text;
}

std::string show(const Ready& ready) {
  return ready.pools == Ready::Pools::kNamed ? show(ready.names) : wordOf(ready.pools);
}

std::string show(const OptionTable& options) {
  std::vector<std::string> names;
  for (const auto& option : options) names.push_back(option.key);
  return show(names);
}

std::string written(bool value) { return show(value); }

std::string written(std::uint32_t value) { return show(value); }

std::string written(double value) {
  const auto text = show(value);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

std::string written(Duration value) { return written(durationText(value)); }

std::string written(const std::string& value) { return "\"" + value + "\""; }

std::string written(const std::vector<std::string>& values) {
  std::string text;
  for (const auto& value : values) text += (text.empty() ? "" : ", ") + written(value);
  return "[" + text + "]";
}

bool sameChoice(const PluginChoice& a, const PluginChoice& b) {
  return a.id == b.id && sameOptions(a.options, b.options);
}

std::vector<std::string> changesOfOptions(const std::string& name, const PluginChoice& before,
                                          const PluginChoice& after) {
  if (before.id != after.id || sameOptions(before.options, after.options)) return {};
  return {name + " " + after.id + ": options changed"};
}

}  // namespace lemonade::config
