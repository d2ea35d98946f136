// SPDX-License-Identifier: MIT
//
// A plugin's options against its schema, both hostile: the schema is a stranger's, the values are an operator's. First
// the rows of the schema, one a line, as key|type|flags|minimum|maximum|default|choices; after an empty line the
// options as TOML.
#include "target.h"

#include "config/loader.h"
#include "plugin/options.h"
#include "plugin/text.h"

#include <charconv>
#include <cmath>

namespace config = lemonade::config;
namespace plugin = lemonade::plugin;
using lemonade::fuzz::cut;
using lemonade::fuzz::require;
using lemonade::plugin::str;
using lemonade::plugin::view;

namespace {

template <class Number>
Number numberOf(std::string_view text) {
  Number number{};
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::vector<lemonade_option_t> rowsOf(std::string_view lines) {
  std::vector<lemonade_option_t> rows;
  while (!lines.empty() && rows.size() < 100) {
    auto line = cut(lines, "\n");
    lemonade_option_t row{};
    row.key = str(cut(line, "|"));
    row.type = numberOf<std::uint32_t>(cut(line, "|"));
    row.flags = numberOf<std::uint32_t>(cut(line, "|"));
    row.minimum = numberOf<double>(cut(line, "|"));
    row.maximum = numberOf<double>(cut(line, "|"));
    row.default_value = str(cut(line, "|"));
    row.choices = str(line);
    rows.push_back(row);
  }
  return rows;
}

/// What a plugin counts on, of one value that was accepted.
void check(const lemonade_option_t& row, const lemonade_option_value_t& value) {
  const double unit = row.type == LEMONADE_OPTION_DURATION ? 1e6 : 1;
  const bool counts =
      row.type == LEMONADE_OPTION_INTEGER || row.type == LEMONADE_OPTION_NUMBER || row.type == LEMONADE_OPTION_DURATION;
  if (counts) require(std::isfinite(value.number), "a number is finite");
  if (counts && (row.minimum != 0 || row.maximum != 0))
    require(value.number >= row.minimum * unit && value.number <= row.maximum * unit, "a number is in its range");
  if (row.type == LEMONADE_OPTION_BOOLEAN) require(value.integer == 0 || value.integer == 1, "a boolean is 0 or 1");
  if (row.type == LEMONADE_OPTION_DURATION) require(value.integer >= 0, "a duration is not negative");
  if (row.type == LEMONADE_OPTION_DURATION || row.type == LEMONADE_OPTION_INTEGER)
    require(std::abs(static_cast<double>(value.integer) - value.number) <= std::abs(value.number) * 1e-9 + 1,
            "both fields of an integer or a duration hold the same");
  if (row.type == LEMONADE_OPTION_CHOICE)
    require(view(row.choices).find(view(value.text)) != std::string_view::npos, "a choice is one of the choices");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto rest = lemonade::fuzz::textOf(data, size);
  const auto rows = rowsOf(cut(rest, "\n\n"));
  lemonade_plugin_t schema{};
  schema.option_count = static_cast<std::uint32_t>(rows.size());
  schema.option_stride = sizeof(lemonade_option_t);
  schema.options = rows.data();

  const auto loaded = config::parse("[strategy.options]\n" + std::string(rest), "/nowhere/lemonade.toml", {});
  std::vector<plugin::OptionProblem> problems;
  const auto set = plugin::OptionSet::build(schema, loaded.config.pools.front().strategy, problems);
  const auto values = set.get();
  require(values.count == rows.size(), "there is a value for each row");
  for (const auto& problem : problems) require(!problem.text.empty(), "a problem says what is wrong");
  if (!problems.empty()) return 0;
  for (std::uint32_t i = 0; i < values.count; ++i) check(rows[i], values.values[i]);
  return 0;
}
