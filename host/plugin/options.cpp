// SPDX-License-Identifier: MIT
#include "plugin/options.h"

#include "config/duration.h"
#include "config/nearest.h"
#include "plugin/image.h"
#include "plugin/text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <sstream>
#include <string_view>

namespace lemonade::plugin {

namespace {

using Written = std::variant<bool, std::int64_t, double, std::string>;

const char* typeName(std::uint32_t type) {
  switch (type) {
    case LEMONADE_OPTION_BOOLEAN:
      return "true or false";
    case LEMONADE_OPTION_INTEGER:
      return "an integer";
    case LEMONADE_OPTION_NUMBER:
      return "a number";
    case LEMONADE_OPTION_STRING:
      return "a string";
    case LEMONADE_OPTION_DURATION:
      return "a duration such as \"10s\", or integer milliseconds, of at most ten years";
    case LEMONADE_OPTION_CHOICE:
      return "one of the choices, as a string";
    default:
      return "of a type this host does not know";
  }
}

/// A default, which a schema row writes as text, as if an operator had written it.
Written fromDefault(const lemonade_option_t& option) {
  const std::string text(view(option.default_value));
  if (option.type == LEMONADE_OPTION_BOOLEAN) return text == "true";
  if (option.type == LEMONADE_OPTION_STRING || option.type == LEMONADE_OPTION_CHOICE) return text;
  std::int64_t integer = 0;
  const char* end = text.data() + text.size();
  if (auto [rest, failed] = std::from_chars(text.data(), end, integer); failed == std::errc{} && rest == end)
    return integer;
  double number = 0;
  if (auto [rest, failed] = std::from_chars(text.data(), end, number); failed == std::errc{} && rest == end)
    return number;
  return text;  // a duration with a unit
}

bool isChoice(const lemonade_option_t& option, std::string_view text) {
  for (std::string_view rest = view(option.choices); !rest.empty();) {
    const auto comma = rest.find(',');
    if (rest.substr(0, comma) == text) return true;
    rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
  }
  return false;
}

std::optional<Duration> durationOf(const Written& written) {
  if (const auto* millis = std::get_if<std::int64_t>(&written)) return config::durationOfMillis(*millis);
  const auto* text = std::get_if<std::string>(&written);
  return text != nullptr ? config::parseDuration(*text) : std::nullopt;
}

/// What was written where a number is wanted, whole in both fields; nothing where it is of another type. Durations are
/// in nanoseconds.
std::optional<lemonade_option_value_t> numberOf(const lemonade_option_t& option, const Written& written) {
  const auto* integer = std::get_if<std::int64_t>(&written);
  const auto* number = std::get_if<double>(&written);
  if (option.type == LEMONADE_OPTION_DURATION) {
    const auto duration = durationOf(written);
    if (!duration) return std::nullopt;
    return lemonade_option_value_t{duration->count(), static_cast<double>(duration->count()), {}};
  }
  const bool takes_integer = option.type == LEMONADE_OPTION_INTEGER || option.type == LEMONADE_OPTION_NUMBER;
  if (integer != nullptr && takes_integer) return lemonade_option_value_t{*integer, static_cast<double>(*integer), {}};
  if (number != nullptr && option.type == LEMONADE_OPTION_NUMBER && std::isfinite(*number))
    return lemonade_option_value_t{0, *number, {}};
  return std::nullopt;
}

std::string rangeText(const lemonade_option_t& option) {
  std::ostringstream text;
  text << "from " << option.minimum << " to " << option.maximum;
  if (option.type == LEMONADE_OPTION_DURATION) text << " milliseconds";
  return text.str();
}

/// Fills value from what was written; returns what is wrong with it, or "".
std::string convert(const lemonade_option_t& option, const Written& written, lemonade_option_value_t& value,
                    std::deque<std::string>& texts) {
  std::string wrong_type = std::string("must be ") + typeName(option.type);
  if (option.type == LEMONADE_OPTION_BOOLEAN) {
    const auto* boolean = std::get_if<bool>(&written);
    if (boolean == nullptr) return wrong_type;
    value.integer = *boolean ? 1 : 0;
    return {};
  }
  if (option.type == LEMONADE_OPTION_STRING || option.type == LEMONADE_OPTION_CHOICE) {
    const auto* text = std::get_if<std::string>(&written);
    if (text == nullptr) return wrong_type;
    if (option.type == LEMONADE_OPTION_CHOICE && !isChoice(option, *text))
      return "must be one of " + std::string(view(option.choices)) + ", not \"" + *text + "\"";
    const std::string& kept = texts.emplace_back(*text);
    value.text = {kept.data(), kept.size()};
    return {};
  }
  const auto number = numberOf(option, written);
  if (!number) return wrong_type;
  const double unit = option.type == LEMONADE_OPTION_DURATION ? 1e6 : 1;
  const bool bounded = option.minimum != 0 || option.maximum != 0;
  // Nothing is in a range whose ends are no numbers.
  const bool inside = number->number >= option.minimum * unit && number->number <= option.maximum * unit;
  if (bounded && !inside) return "must be " + rangeText(option);
  value = *number;
  return {};
}

const config::OptionValue* find(const config::OptionTable& table, std::string_view key) {
  for (const auto& option : table)
    if (option.key == key) return &option;
  return nullptr;
}

void checkKeys(const OptionSchema& schema, const config::OptionTable& options, std::vector<OptionProblem>& problems) {
  std::vector<std::string> known;
  for (std::uint32_t i = 0; i < schema.count; ++i) known.emplace_back(view(schema.row(i).key));
  for (const auto& option : options) {
    if (std::find(known.begin(), known.end(), option.key) != known.end()) continue;
    std::string text = "plugin " + schema.plugin + " has no option \"" + option.key + "\"" + schema.subject + "; ";
    text += known.empty() ? "it has none: remove the key" : config::suggestion(option.key, known);
    problems.push_back({option.source, std::move(text)});
  }
}

}  // namespace

OptionSchema OptionSchema::ofPlugin(const lemonade_plugin_t& plugin, std::string id) {
  return {std::move(id), "", plugin.options, plugin.option_count, plugin.option_stride};
}

OptionSchema OptionSchema::ofBackends(const lemonade_strategy_t& strategy, std::string id) {
  OptionSchema schema{std::move(id), " for backends"};
  if (!LEMONADE_HAS(&strategy, lemonade_strategy_t, backend_option_stride)) return schema;
  if (strategy.backend_options == nullptr || strategy.backend_option_stride < Image::kOptionSizeIn1_0) return schema;
  schema.rows = strategy.backend_options;
  schema.count = strategy.backend_option_count;
  schema.stride = strategy.backend_option_stride;
  return schema;
}

const lemonade_option_t& OptionSchema::row(std::uint32_t index) const noexcept {
  return *reinterpret_cast<const lemonade_option_t*>(reinterpret_cast<const char*>(rows) + std::size_t{index} * stride);
}

OptionSet OptionSet::build(const OptionSchema& schema, const config::OptionTable& options, const config::Source& source,
                           std::vector<OptionProblem>& problems) {
  OptionSet set;
  checkKeys(schema, options, problems);
  for (std::uint32_t i = 0; i < schema.count; ++i) {
    const auto& option = schema.row(i);
    const std::string key(view(option.key));
    const auto* given = find(options, key);
    lemonade_option_value_t value{};
    if (given == nullptr && (option.flags & LEMONADE_OPTION_REQUIRED) != 0)
      problems.push_back({source, "plugin " + schema.plugin + " needs the option \"" + key + "\"" + schema.subject +
                                      ": " + std::string(view(option.doc))});
    else if (auto wrong = convert(option, given != nullptr ? given->value : fromDefault(option), value, set.texts_);
             !wrong.empty())
      problems.push_back(given != nullptr
                             ? OptionProblem{given->source, key + " " + wrong}
                             : OptionProblem{source, "plugin " + schema.plugin +
                                                         " has a broken schema: the default of " + key + " " + wrong});
    set.values_.push_back(value);
  }
  return set;
}

OptionSet OptionSet::build(const lemonade_plugin_t& plugin, const config::PluginChoice& choice,
                           std::vector<OptionProblem>& problems) {
  return build(OptionSchema::ofPlugin(plugin, choice.id), choice.options, choice.source, problems);
}

lemonade_options_t OptionSet::get() const noexcept {
  return {sizeof(lemonade_options_t), static_cast<std::uint32_t>(values_.size()), values_.data()};
}

}  // namespace lemonade::plugin
