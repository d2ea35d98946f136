// SPDX-License-Identifier: MIT
#include "cli/commands.h"

#include "cli/ask.h"
#include "cli/asking.h"
#include "cli/exit_codes.h"
#include "cli/top.h"
#include "config/duration.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <utility>

namespace lemonade::cli {

namespace {

using namespace std::chrono_literals;

constexpr Duration kShortestInterval = 100ms;
constexpr Duration kLongestInterval = 1h;

void addOptions(CLI::App& command, Options& options) {
  command
      .add_option("--admin", options.admin,
                  "Where the balancer answers: unix:/run/lemonade/admin.sock, or 10.0.0.1:9090")
      ->type_name("PLACE");
  command.add_option("--config", options.config, "Configuration file that says where it answers")->type_name("FILE");
  command.add_option("--token-file", options.token_file, "File whose first token is sent, for a balancer elsewhere")
      ->type_name("FILE");
  command.add_flag("--json", options.json, "Print the answer as it comes");
}

}  // namespace

const char* const kExitCodes =
    "Without --admin and --config: LEMONADE_ADMIN, else the socket in /run/lemonade, else 127.0.0.1:9090.\n"
    "Environment: LEMONADE_ADMIN, LEMONADE_ADMIN_TOKEN_FILE, NO_COLOR.\n"
    "Exit codes: 0 done, 1 refused or not as it should be, 2 wrong use, 3 no balancer answers.";

CLI::App& Commands::add(CLI::App& app, const char* name, const char* text, std::function<int()> run) {
  auto* const command = app.add_subcommand(name, text);
  addOptions(*command, options_);
  command->footer(kExitCodes);
  commands_.push_back({name, std::move(run)});
  return *command;
}

void Commands::addTo(CLI::App& app) {
  add(app, "status", "Show how the balancer, its pools and backends are; exits with 1 where a pool has no backend",
      [this] { return runStatus(options_); });
  add(app, "backends", "Show the backends", [this] {
    return runBackends(options_, pool_);
  }).add_option("POOL", pool_, "Of this pool alone");
  addControl(app, "drain", "Send a backend no new sessions, and end those that it has", nullptr);
  addControl(app, "disable", "Send a backend no new sessions; those that it has go on", nullptr);
  addControl(app, "enable", "Take back what was changed of a backend", nullptr);
  addControl(app, "weight", "Give a backend another weight", "0 to 65535; 0 takes no new sessions");
  addControl(app, "max_connections", "Give a backend another limit of sessions", "0 means no limit");
  add(app, "plugins", "Show the plugins that run", [this] { return runPlugins(options_); });
  add(app, "shadow", "Show what another strategy would have done, where pools have a shadow", [this] {
    return runShadow(options_, pool_);
  }).add_option("POOL", pool_, "Of this pool, with where each would have sent what");
  addWhy(app);
  add(app, "release", "Let a plugin try again that is quarantined, by a reload",
      [this] { return runRelease(options_, plugin_); })
      .add_option("PLUGIN", plugin_, "Its id, as plugins shows it")
      ->required();
  add(app, "reload", "Read the configuration again, and say what changed or what is wrong",
      [this] { return runReload(options_); });
  add(app, "reopen", "Open the files of the log again, for who has moved them away",
      [this] { return runReopen(options_); });
  addEvents(app);
  addTop(app);
}

void Commands::addControl(CLI::App& app, const char* action, const char* text, const char* value) {
  auto& control = controls_.emplace_back();
  control.action = action;
  auto& command = add(app, action, text, [this, &control] { return runControl(options_, control); });
  command.add_option("BACKEND", control.backend, "POOL/BACKEND, or the BACKEND alone where one pool has it")
      ->required();
  if (value != nullptr) command.add_option("VALUE", control.value, value)->required();
  if (control.action != "enable")
    command
        .add_option("--for", control.lasting, "For how long, such as 10m; without it until the next reload of the file")
        ->type_name("TIME");
  command.add_flag("--persist", control.persist, "Also print the line that would make it last, for the file");
}

void Commands::addWhy(CLI::App& app) {
  auto& command = add(app, "why", "Look at the picks of a pool for some seconds, and show why each was made",
                      [this] { return runWhy(options_, *pool_, look_, pick_count_); });
  command.add_option("POOL", pool_, "Its name")->required();
  command.add_option("--for", look_, "For how long picks are looked at, 100ms to 60s (5s)")->type_name("TIME");
  command.add_option("--limit", pick_count_, "How many picks, the newest (5)")
      ->type_name("N")
      ->check(CLI::Range(1, 256));
}

void Commands::addEvents(CLI::App& app) {
  auto& command = add(app, "events", "Show what has happened of late",
                      [this] { return runEvents(options_, event_count_, follow_); });
  command.add_flag("--follow", follow_, "Go on with what happens from now on, until it is interrupted");
  command.add_option("--limit", event_count_, "How many, the newest (20)")->type_name("N")->check(CLI::Range(1, 1'000));
}

void Commands::addTop(CLI::App& app) {
  auto& command = add(app, "top", "Show pools and backends live; s sorts otherwise, q ends", [this] {
    const auto interval = config::parseDuration(interval_);
    if (!interval || *interval < kShortestInterval || *interval > kLongestInterval)
      return fail(kWrongUse, "--interval is \"" + interval_ + "\"; give 100ms to 1h, such as 2s");
    return runTop(options_, *interval, table_count_);
  });
  command.add_option("--interval", interval_, "Between two looks (1s)")->type_name("TIME");
  command.add_option("--count", table_count_, "Print so many tables, one after the other, and end")->type_name("N");
}

bool Commands::has(const std::string& name) const {
  return std::ranges::any_of(commands_, [&](const auto& command) { return command.name == name; });
}

std::optional<int> Commands::run(const CLI::App& app) const {
  for (const auto& command : commands_)
    if (app.got_subcommand(command.name)) return command.run();
  return std::nullopt;
}

}  // namespace lemonade::cli
