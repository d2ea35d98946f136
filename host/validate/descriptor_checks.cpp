// SPDX-License-Identifier: MIT
//
// What the loaded entry symbol says: texts, the option schema, the tables of functions.
#include "validate/harness.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace lemonade::validate {

namespace {

constexpr std::uint32_t kOptionFlags = LEMONADE_OPTION_REQUIRED | LEMONADE_OPTION_SECRET;

void requireText(lemonade_str_t text, const std::string& name, bool may_be_empty) {
  require(text.data != nullptr || text.size == 0, name + " has a size but no text");
  require(may_be_empty || text.size != 0, name + " is empty");
  require(text.size < 1 << 16, name + " is " + std::to_string(text.size) + " bytes long");
  require(view(text).find('\0') == std::string_view::npos, name + " holds a zero byte: the size counts too much");
}

Outcome texts(const Subject& subject) {
  const Code code(subject);
  const auto& entry = code.entry();
  requireText(entry.name, "name", false);
  requireText(entry.vendor, "vendor", false);
  requireText(entry.license, "license", false);
  requireText(entry.doc, "doc", false);
  require(entry.reserved == 0, "reserved is not 0");
  return pass();
}

void requireRow(const lemonade_option_t& row, std::set<std::string>& keys) {
  requireText(row.key, "a key", false);
  const std::string key(view(row.key));
  require(keys.insert(key).second, "two options are called " + key);
  require(key[0] >= 'a' && key[0] <= 'z' &&
              key.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos,
          "the key " + key + " is not in snake_case");
  require(key.size() < sizeof(lemonade_error_t::key), "the key " + key + " has more than 63 bytes");
  require(row.type >= LEMONADE_OPTION_BOOLEAN && row.type <= LEMONADE_OPTION_CHOICE,
          key + " has a type that the ABI does not have");
  require((row.flags & ~kOptionFlags) == 0, key + " has flags that the ABI does not have");
  require(std::isfinite(row.minimum) && std::isfinite(row.maximum) && row.minimum <= row.maximum,
          key + " has a minimum above its maximum");
  requireText(row.doc, "the doc of " + key, false);
  requireText(row.default_value, "the default of " + key, true);
  requireText(row.choices, "choices of " + key, row.type != LEMONADE_OPTION_CHOICE);
  require(view(row.choices).find(' ') == std::string_view::npos, "choices of " + key + " hold a space");
}

Outcome options(const Subject& subject) {
  const Code code(subject);
  const auto& entry = code.entry();
  std::set<std::string> keys;
  for (std::uint32_t i = 0; i < entry.option_count; ++i) requireRow(optionRow(entry, i), keys);
  Subject plain;
  const Values defaults(plain, entry);  // throws where a default is not of its type or in its range
  return pass();
}

Outcome backendOptions(const Subject& subject) {
  const Code code(subject);
  const auto& table = code.table<lemonade_strategy_t>();
  if (!LEMONADE_HAS(&table, lemonade_strategy_t, backend_option_stride)) return pass();  // built with 1.0
  require(table.backend_option_count == 0 || table.backend_options != nullptr,
          "backend_option_count is not 0, but backend_options is NULL");
  require(table.backend_option_count == 0 || table.backend_option_stride >= plugin::Image::kOptionSizeIn1_0,
          "backend_option_stride is " + std::to_string(table.backend_option_stride));
  const auto schema = plugin::OptionSchema::ofBackends(table, code.entry().id);
  std::set<std::string> keys;
  for (std::uint32_t i = 0; i < schema.count; ++i) requireRow(schema.row(i), keys);
  std::vector<plugin::OptionProblem> problems;
  (void)plugin::OptionSet::build(schema, withSamples(schema, {}), {}, problems);
  require(problems.empty(), problems.empty() ? "" : problems[0].text);
  return pass();
}

// What a kind demands of its table besides its functions.
template <class Table>
void requireMore(const Table&) {}
template <>
void requireMore(const lemonade_strategy_t& table) {
  require(table.events <= 2 * LEMONADE_EVENT_ABANDONED - 1, "it asks for events that the ABI does not have");
}

Outcome interfaces(const Subject& subject) {
  const Code code(subject);
  const auto& entry = code.entry();
  stage("asking for an interface");
  forEachKind(~0U, [&]<class Table>(std::type_identity<Table>) {
    const auto& kind = kKindOf<Table>;
    const std::string id = kind.interface_id;
    const auto* table = static_cast<const Table*>(entry.get_interface(str(id)));
    if ((entry.tag.kinds & kind.bit) == 0) return;
    require(table != nullptr, "it says that it is of a kind but has no interface " + id);
    require(table->struct_size >= kind.first_size, "the table of " + id + " is too small (struct_size)");
    const auto missing = kind.missing(table);
    require(missing.empty(), "it lacks the function " + missing);
    requireMore(*table);
  });
  for (const std::string unknown : {"", "lemonade.strategy/2", "lemonade.strategy", "com.example.none/1"})
    require(entry.get_interface(str(unknown)) == nullptr, "it has an interface \"" + unknown + "\"");
  return pass();
}

constexpr Check kChecks[] = {
    {"descriptor.texts", "says who it is and by whom", "fill name, vendor, license and doc", texts, "load.opens"},
    {"descriptor.options", "describes its options as the ABI has it",
     "mend the row; see lemonade_option_t in lemonade/plugin.h", options, "load.opens"},
    {"descriptor.interfaces", "has the functions of its kinds, and no other interface",
     "fill the table; compare the whole id in get_interface", interfaces, "load.opens"},
    {"descriptor.backend_options", "describes its options of backends as the ABI has it",
     "mend the row; see backend_options in lemonade/strategy.h", backendOptions, "descriptor.interfaces",
     LEMONADE_KIND_STRATEGY},
};

}  // namespace

std::span<const Check> descriptorChecks() { return kChecks; }

}  // namespace lemonade::validate
