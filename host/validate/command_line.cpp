// SPDX-License-Identifier: MIT
#include "validate/command_line.h"

#include "base/command_description.h"
#include "validate/commands.h"
#include "validate/report.h"

#include <CLI/CLI.hpp>

#include <charconv>
#include <iostream>
#include <optional>

namespace lemonade::validate {

namespace {

struct Arguments {
  std::vector<std::string> files;
  std::vector<std::string> options;
  double limit = 20;
  std::optional<double> budget;
  bool json = false;
  Wish wish;
  std::string file;
  std::string folder;
};

/// What a shell can say of a TOML value: true, 12, 0.5, text.
config::OptionValue parseOption(const std::string& text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos || equals == 0) throw CLI::ValidationError("--option", text + " is not KEY=VALUE");
  const std::string value = text.substr(equals + 1);
  config::OptionValue option{text.substr(0, equals), value, {"--option", 0, 0}};
  const char* end = value.data() + value.size();
  std::int64_t integer = 0;
  double number = 0;
  if (value == "true" || value == "false")
    option.value = value == "true";
  else if (const auto [rest, failed] = std::from_chars(value.data(), end, integer);
           failed == std::errc{} && rest == end)
    option.value = integer;
  else if (const auto [after, wrong] = std::from_chars(value.data(), end, number); wrong == std::errc{} && after == end)
    option.value = number;
  return option;
}

Duration seconds(double number) { return Duration(static_cast<std::int64_t>(number * 1e9)); }

bool knowsCheck(const std::string& prefix) {
  for (const auto& checks : {staticChecks(), dynamicChecks()})
    for (const auto& check : checks)
      if (std::string_view(check.id).substr(0, prefix.size()) == prefix) return true;
  return false;
}

int judgeAll(const Arguments& arguments) {
  // All of them before the first: a misspelt name is not to cost a minute, and what is printed is a whole report.
  for (const auto& path : arguments.files)
    if (const auto readable = checkReadable(path); !readable) {
      std::cerr << "plugin-validate: " << readable.error().message << '\n';
      return 2;
    }
  std::vector<Verdict> verdicts;
  bool bad = false;
  for (const auto& path : arguments.files) {
    const auto subject = readSubject(path, arguments.wish);
    if (!subject) {
      std::cerr << "plugin-validate: " << subject.error().message << '\n';
      return 2;
    }
    verdicts.push_back(judge(subject.value(), arguments.wish));
    bad = bad || verdicts.back().bad();
    if (!arguments.json) printReport(std::cout, verdicts.back());
    std::cout.flush();
  }
  if (arguments.json) printJson(std::cout, verdicts);
  return bad ? 1 : 0;
}

void addPositional(CLI::App& command, Arguments& arguments) {
  command.add_option("FILE", arguments.file, "A plugin")->required();
}

}  // namespace

int runCommandLine(int argc, char** argv) {
  CLI::App app("Shows whether a shared object is a sound Lemonade plugin", "plugin-validate");
  Arguments arguments;
  app.add_option("FILE", arguments.files, "Plugins to judge");
  app.add_flag("--thorough", arguments.wish.thorough, "Ten times as much of everything that is repeated");
  app.add_flag("--json", arguments.json, "Report as JSON");
  app.add_option("--only", arguments.wish.only, "Run the checks whose name begins so, such as strategy.")
      ->type_name("NAME");
  app.add_option("--seed", arguments.wish.seed, "Of everything random; 1 where not given")->type_name("N");
  app.add_option("--option", arguments.options, "KEY=VALUE of the plugin's options; may be repeated")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  app.add_option("--limit", arguments.limit, "Seconds that each check may take; 20 where not given")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.1, 3600.0));
  app.add_option("--budget", arguments.budget,
                 "Seconds that all checks of a plugin together may take; 60 where not given, with --thorough 600")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.1, 36000.0));
  app.fallthrough();  // flags are taken behind the command, too
  auto* describe = app.add_subcommand("describe", "Show what a plugin says of itself and the schema of its options");
  auto* bench = app.add_subcommand("bench", "Show the nanoseconds of a pick at 2, 10, 100, 1000 and 10000 backends");
  auto* install = app.add_subcommand("install", "Copy a plugin into a folder so that nobody sees half of it");
  for (auto* command : {describe, bench, install}) addPositional(*command, arguments);
  install->add_option("DIR", arguments.folder, "The folder")->required();
  app.require_subcommand(0, 1);
  app.footer(
      "Statuses: pass, warn, skip, fail, crash, hang.\n"
      "Exit codes: 0 nothing failed, 1 something failed, crashed or hung, 2 misuse or no such file.");
  addCommandDescription(app);
  try {
    app.parse(argc, argv);
    for (const auto& text : arguments.options) arguments.wish.options.push_back(parseOption(text));
    if (app.get_subcommands().empty() == arguments.files.empty())
      throw CLI::ParseError(arguments.files.empty() ? "FILE is required" : "too many files",
                            CLI::ExitCodes::RequiredError);
    if (!arguments.wish.only.empty() && !knowsCheck(arguments.wish.only))
      throw CLI::ValidationError("--only", "there is no check " + arguments.wish.only);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  arguments.wish.limit = seconds(arguments.limit);
  arguments.wish.budget = seconds(arguments.budget.value_or(arguments.wish.thorough ? 600 : 60));
  try {
    if (describe->parsed()) return describePlugin(arguments.file, arguments.wish);
    if (bench->parsed()) return benchPlugin(arguments.file, arguments.wish);
    if (install->parsed()) return installPlugin(arguments.file, arguments.folder);
    return judgeAll(arguments);
  } catch (const std::exception& e) {
    std::cerr << "plugin-validate: " << e.what() << '\n';
    return 2;
  }
}

}  // namespace lemonade::validate
