// SPDX-License-Identifier: MIT
//
// Options: the ends of every range, every choice, and values at random. The host checks types and ranges before the
// plugin sees anything, so what arrives is in order; the plugin takes it or refuses it properly.
#include "validate/harness.h"
#include "validate/strategy_run.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace lemonade::validate {

namespace {

using Written = std::variant<bool, std::int64_t, double, std::string>;

bool bounded(const lemonade_option_t& row) { return row.minimum != 0 || row.maximum != 0; }

std::vector<std::string> choicesOf(const lemonade_option_t& row) {
  std::vector<std::string> choices;
  for (std::string_view rest = view(row.choices); !rest.empty();) {
    const auto comma = rest.find(',');
    choices.emplace_back(rest.substr(0, comma));
    rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
  }
  return choices;
}

/// A value in the range of a row, as far into it as `share` (0 to 1) says.
Written valueAt(const lemonade_option_t& row, double share) {
  const double low = bounded(row) ? row.minimum : row.type == LEMONADE_OPTION_DURATION ? 0 : -1'000'000;
  const double high = bounded(row) ? row.maximum : 1'000'000;
  const double number = share >= 1 ? high : low + (high - low) * share;
  switch (row.type) {
    case LEMONADE_OPTION_BOOLEAN:
      return share >= 0.5;
    case LEMONADE_OPTION_INTEGER:
    case LEMONADE_OPTION_DURATION:
      return static_cast<std::int64_t>(std::clamp(number, -9e15, 9e15));
    case LEMONADE_OPTION_NUMBER:
      return number;
    case LEMONADE_OPTION_STRING:
      return std::string(static_cast<std::size_t>(share * 300), 'x');
    default: {
      const auto choices = choicesOf(row);
      return choices[std::min(choices.size() - 1,
                              static_cast<std::size_t>(share * static_cast<double>(choices.size())))];
    }
  }
}

/// Makes an instance with these values; a refusal is fine where it is a proper one.
template <class Table>
bool accepts(const Subject& subject, const Code& code, const config::OptionTable& changes) {
  const auto& table = code.table<Table>();
  Values values(subject, code.entry(), changes);
  Guarded<lemonade_error_t> error(0);
  void* self = nullptr;
  stage("creating an instance with other options");
  const auto status = table.create(soloHost(), values.get(), &self, error.get());
  if (status != LEMONADE_OK) {
    requireError(code.entry(), status, *error.get());
    return false;
  }
  table.destroy(self);
  return true;
}

Outcome bounds(const Subject& subject) {
  const Code code(subject);
  const auto& entry = code.entry();
  std::string refused;
  for (std::uint32_t i = 0; i < entry.option_count; ++i) {
    const auto& row = optionRow(entry, i);
    if (row.type == LEMONADE_OPTION_STRING) continue;  // what is a good text only the plugin knows
    const std::string key(view(row.key));
    const auto steps = row.type == LEMONADE_OPTION_CHOICE ? choicesOf(row).size() : 2;
    for (std::size_t step = 0; step < steps; ++step) {
      const double share = static_cast<double>(step) / static_cast<double>(std::max<std::size_t>(steps - 1, 1));
      const config::OptionTable changes{{key, valueAt(row, share), {}}};
      forEachKind(code.kinds(), [&]<class Table>(std::type_identity<Table>) {
        if (!accepts<Table>(subject, code, changes)) refused = key;
      });
    }
  }
  return refused.empty() || !sampledOptions(subject, entry).empty()
             ? pass()
             : warn("it refuses an end of the range, or a choice, that its schema allows for " + refused);
}

Outcome random(const Subject& subject) {
  const Code code(subject);
  const auto& entry = code.entry();
  if (entry.option_count == 0) return skip("it has no options");
  const auto times = subject.times(200);
  for (std::uint32_t time = 0; time < times; ++time) {
    config::OptionTable changes;
    for (std::uint32_t i = 0; i < entry.option_count; ++i) {
      const double share = static_cast<double>(scrambled(subject.seed, time * 64 + i) >> 11) / 9007199254740992.0;
      changes.push_back({std::string(view(optionRow(entry, i).key)), valueAt(optionRow(entry, i), share), {}});
    }
    forEachKind(code.kinds(),
                [&]<class Table>(std::type_identity<Table>) { (void)accepts<Table>(subject, code, changes); });
  }
  return pass();
}

/// Backends whose options have values at random, which differ from view to view.
Outcome ofBackends(const Subject& subject) {
  const Code code(subject);
  StrategyRun run(subject, code);
  const auto schema = plugin::OptionSchema::ofBackends(run.table(), code.entry().id);
  if (schema.count == 0) return skip("it has no options of backends");
  const auto times = subject.times(100);
  for (std::uint32_t time = 0; time < times; ++time) {
    config::OptionTable changes;
    for (std::uint32_t i = 0; i < schema.count; ++i) {
      const double random = static_cast<double>(scrambled(subject.seed, time * 64 + i) >> 11) / 9007199254740992.0;
      const double share = time < 2 ? time : random;  // the ends of every range first
      changes.push_back({std::string(view(schema.row(i).key)), valueAt(schema.row(i), share), {}});
    }
    Scene scene(equals(4));
    scene.giveOptions(run.table(), changes);
    run.show(scene);
    (void)run.usablePick(scrambled(subject.seed, time));
    run.showUnprepared(scene);
  }
  return pass();
}

/// What no schema forbids and no author thinks of: the ends of the types where a row has no range, and odd texts.
std::vector<Written> oddValues(const lemonade_option_t& row) {
  using Integers = std::numeric_limits<std::int64_t>;
  using Doubles = std::numeric_limits<double>;
  if (row.type == LEMONADE_OPTION_STRING)
    return {std::string(), std::string(100'000, 'x'), std::string("a\0b", 3), std::string("%s%n\r\n\t"),
            std::string("\xc3\xa9\xf0\x9f\x8d\x8b")};
  if (bounded(row)) return {};
  if (row.type == LEMONADE_OPTION_INTEGER) return {Integers::min(), Integers::max()};
  if (row.type == LEMONADE_OPTION_NUMBER) return {Doubles::lowest(), Doubles::max(), Doubles::denorm_min(), -0.0};
  if (row.type == LEMONADE_OPTION_DURATION) return {std::int64_t{0}, std::string("87600h")};
  return {};
}

Outcome odd(const Subject& subject) {
  const Code code(subject);
  const auto& entry = code.entry();
  for (std::uint32_t i = 0; i < entry.option_count; ++i)
    for (const auto& value : oddValues(optionRow(entry, i))) {
      const config::OptionTable changes{{std::string(view(optionRow(entry, i).key)), value, {}}};
      forEachKind(code.kinds(),
                  [&]<class Table>(std::type_identity<Table>) { (void)accepts<Table>(subject, code, changes); });
    }
  return entry.option_count == 0 ? skip("it has no options") : pass();
}

/// What a row's schema excludes: another type, beside its range, no choice of it.
std::vector<Written> excluded(const lemonade_option_t& row) {
  std::vector<Written> values;
  if (row.type != LEMONADE_OPTION_BOOLEAN) values.emplace_back(true);
  if (row.type == LEMONADE_OPTION_BOOLEAN || row.type == LEMONADE_OPTION_STRING) values.emplace_back(std::int64_t{1});
  if (row.type != LEMONADE_OPTION_STRING) values.emplace_back(std::string("no such value"));
  const bool number = row.type == LEMONADE_OPTION_INTEGER || row.type == LEMONADE_OPTION_NUMBER;
  if (number && bounded(row) && std::abs(row.minimum) < 1e15 && std::abs(row.maximum) < 1e15) {
    values.emplace_back(static_cast<std::int64_t>(std::floor(row.minimum)) - 1);
    values.emplace_back(static_cast<std::int64_t>(std::ceil(row.maximum)) + 1);
  }
  if (number) values.emplace_back(std::numeric_limits<double>::quiet_NaN());
  return values;
}

/// An operator's slip is to be a message before the plugin sees anything of it.
Outcome refuses(const Subject& subject) {
  const Code code(subject);
  const auto& entry = code.entry();
  const auto requireRefused = [&](const std::string& key, const Written& value) {
    std::vector<plugin::OptionProblem> problems;
    (void)plugin::OptionSet::build(entry, {entry.id, {}, {{key, value, {}}}}, problems);
    const auto named = [&](const auto& problem) { return problem.text.find(key) != std::string::npos; };
    require(std::any_of(problems.begin(), problems.end(), named), "its schema lets any value of " + key + " through");
  };
  for (std::uint32_t i = 0; i < entry.option_count; ++i)
    for (const auto& value : excluded(optionRow(entry, i)))
      requireRefused(std::string(view(optionRow(entry, i).key)), value);
  requireRefused("no_such_option", true);
  return pass();
}

constexpr const char* kMend = "take every value that the schema allows, or fill error with code, key and message";

constexpr Check kChecks[] = {
    {"options.refused", "lets nothing through that its schema excludes", "narrow the type, range or choices of the row",
     refuses, "process.create"},
    {"options.bounds", "takes the ends of its ranges and every choice", kMend, bounds, "process.create"},
    {"options.odd", "takes or properly refuses odd texts and the largest numbers",
     "give the row a range, and look at the size of a text, which is any UTF-8, zero bytes too", odd, "options.bounds"},
    {"options.backends", "takes any options of backends that its schema allows",
     "narrow the type or range of the row of backend_options", ofBackends, "strategy.unprepared",
     LEMONADE_KIND_STRATEGY},
    {"options.random", "takes or properly refuses any values that its schema allows", kMend, random, "options.bounds"},
};

}  // namespace

std::span<const Check> optionChecks() { return kChecks; }

}  // namespace lemonade::validate
