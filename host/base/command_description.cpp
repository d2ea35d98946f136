// SPDX-License-Identifier: MIT
#include "base/command_description.h"

#include <Poco/JSON/Array.h>
#include <Poco/JSON/Object.h>
#include <CLI/CLI.hpp>

#include <sstream>
#include <string>
#include <vector>

namespace lemonade {

namespace {

using Poco::JSON::Array;
using Poco::JSON::Object;

Array arrayOf(const std::vector<std::string>& texts) {
  Array array;
  for (const auto& text : texts) array.add(text);
  return array;
}

/// "names" are as typed, those with one dash first; "value" is empty where it takes none.
Object describe(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const auto& name : option.get_snames()) names.push_back("-" + name);
  for (const auto& name : option.get_lnames()) names.push_back("--" + name);
  const bool takes_value = option.get_items_expected_max() != 0;
  Object object;
  object.set("names", arrayOf(names));
  object.set("text", option.get_description());
  object.set("value", takes_value ? option.get_type_name() : std::string());
  object.set("repeated", option.get_expected_max() >= CLI::detail::expected_max_vector_size);
  return object;
}

Object describePositional(const CLI::Option& option) {
  Object object;
  object.set("name", option.get_single_name());
  object.set("text", option.get_description());
  object.set("required", option.get_required());
  object.set("repeated", option.get_expected_max() >= CLI::detail::expected_max_vector_size);
  return object;
}

/// What has no group is hidden.
Object describe(const CLI::App& app) {
  Array options;
  Array positionals;
  Array commands;
  for (const auto* option : app.get_options()) {
    if (option->get_positional())
      positionals.add(describePositional(*option));
    else if (!option->get_group().empty())
      options.add(describe(*option));
  }
  for (const auto* command : app.get_subcommands(std::function<bool(const CLI::App*)>()))
    if (!command->get_group().empty()) commands.add(describe(*command));
  Object object;
  object.set("name", app.get_name());
  object.set("aliases", arrayOf(app.get_aliases()));
  object.set("text", app.get_description());
  object.set("options", options);
  object.set("positionals", positionals);
  object.set("commands", commands);
  object.set("footer", app.get_footer());
  return object;
}

}  // namespace

void addCommandDescription(CLI::App& app) {
  const auto print = [&app] {
    std::ostringstream text;
    describe(app).stringify(text);
    throw CLI::CallForVersion(text.str(), 0);  // what CLI11 has for a flag that prints and exits
  };
  app.add_flag_callback("--describe-command-line", print)->group("");
}

}  // namespace lemonade
