// SPDX-License-Identifier: MIT
#include "app/command_line.h"

#include "app/exit_codes.h"
#include "app/run.h"
#include "app/run_check.h"
#include "app/run_simulate.h"
#include "base/command_description.h"
#include "base/standard_descriptors.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"

#include <lemonade/plugin.h>
#include <CLI/CLI.hpp>

#include <optional>
#include <string>
#include <vector>

namespace lemonade::app {

namespace {

void addLoadBalancer(CLI::App& app, LoadBalancerArguments& arguments) {
  auto* command = app.add_subcommand("load-balancer", "Balance TCP connections over backends")->alias("lb");
  command->add_option("--config", arguments.config, "Configuration file; without it the environment configures")
      ->type_name("FILE");
  command->add_flag("--validate", arguments.validate, "Check configuration, plugins and their options, then exit");
  command->add_flag("--json", arguments.json, "With --validate: print what is found as JSON")->needs("--validate");
  // For the admin listener, which validates what a request brings.
  command->add_option("--called-as", arguments.called_as)->needs("--validate")->group("");
  command->add_option("--asked-by", arguments.asked_by)->needs("--validate")->group("");
  command->add_option("--plugin-dir", arguments.plugin_dirs, "Directory of plugins, searched first; may be repeated")
      ->type_name("DIR");
  command->footer(
      "Environment: LEMONADE_LB_*, LEMONADE_LOG, LEMONADE_LOG_FORMAT; see lemonade.toml(5).\n"
      "Signals: SIGTERM, SIGINT and SIGQUIT drain and exit, a second one exits at once; SIGHUP reloads;\n"
      "SIGUSR2 upgrades.\n"
      "Exit codes: 0 success and graceful stop, 1 configuration error, 2 runtime error, 3 it died five times in a "
      "minute.");
}

void addUpgrade(CLI::App& app, UpgradeArguments& arguments) {
  auto* command = app.add_subcommand("upgrade", "Replace the running balancer by the program that is installed now");
  command
      ->add_option("--config", arguments.config,
                   "Configuration file of the running balancer, which says where it answers")
      ->type_name("FILE");
  command
      ->add_option("--admin", arguments.admin,
                   "Where it answers: \"unix:/run/lemonade/admin.sock\", \"127.0.0.1:9090\"; without either it is\n"
                   "looked for as by `lemonade status`")
      ->type_name("PLACE");
  command->add_flag("--rollback", arguments.rollback, "Go back to the program that ran before the last upgrade");
  command->footer(
      "The new process takes over the listening sockets; the one before drains. Where the new one does not\n"
      "start, the one before goes on. Needs the supervisor, and the admin socket or listener; without these send\n"
      "SIGUSR2 to the supervisor and look at the log.\n"
      "Exit codes: 0 upgraded, 1 configuration error, 2 the running balancer stays.");
}

void addDoctor(CLI::App& app, DoctorArguments& arguments) {
  auto* command = app.add_subcommand("doctor", "Try what a configuration needs of machine, names and backends");
  command->add_option("--config", arguments.config, "Configuration file; without it the environment configures")
      ->type_name("FILE");
  command->add_option("--plugin-dir", arguments.plugin_dirs, "Directory of plugins, searched first; may be repeated")
      ->type_name("DIR");
  command->add_option("--timeout", arguments.timeout, "How long names, connects and checks may take together: 10s")
      ->type_name("TIME");
  command->add_flag("--json", arguments.json, "Say it as JSON");
  command->footer(
      "Run it as the user and with the limits of the balancer. Nothing is changed: addresses to listen on are\n"
      "bound for a moment, each backend is connected to three times and checked once.\n"
      "Exit codes: 0 no problem, warnings included, 1 problems, 2 wrong usage.");
}

void addDemoBackend(CLI::App& app, DemoBackendArguments& arguments) {
  auto* command = app.add_subcommand("worker", "Run a small HTTP backend, for trying things out")->alias("w");
  command->add_option("--config", arguments.config, "Configuration file with a [worker] table")->type_name("FILE");
  command->add_option("--address", arguments.address, "Where to listen, such as 127.0.0.1:8081")->type_name("A");
  command->add_option("--name", arguments.name, "The name in its answers")->type_name("N");
  command->add_option("--delay", arguments.delay, "How long GET /work takes: milliseconds, or 2s")->type_name("MS");
  command->footer(
      "Environment: LEMONADE_WORKER_LISTEN_ADDRESS, LEMONADE_WORKER_SERVICE_NAME, "
      "LEMONADE_WORKER_WORK_DELAY_MS.");
}

void addCheck(CLI::App& app, CheckArguments& arguments) {
  auto* command = app.add_subcommand("check", "Check one backend once and show every step, without a running balancer");
  command->add_option("BACKEND", arguments.backend, "POOL/BACKEND, or the BACKEND alone")->required();
  command->add_option("--config", arguments.config, "Configuration file that has the backend")
      ->type_name("FILE")
      ->required();
  command->add_option("--plugin-dir", arguments.plugin_dirs, "Directory of plugins, searched first; may be repeated")
      ->type_name("DIR");
  command->add_flag("--json", arguments.json, "Print the steps as JSON");
  command->footer("Exit codes: 0 the check passed, 1 it did not, 2 wrong use or configuration.");
}

void addSimulate(CLI::App& app, SimulateArguments& arguments) {
  auto* command =
      app.add_subcommand("simulate", "Try strategies against simulated backends, before they meet a client");
  command->add_option("--config", arguments.config, "Configuration file whose strategy and backends take part")
      ->type_name("FILE");
  command->add_option("--pool", arguments.pool, "The pool of the configuration")->type_name("POOL")->needs("--config");
  command
      ->add_option("--scenario", arguments.scenario,
                   "What happens: a file (its keys: docs/simulate.md), or a key of --list;\n"
                   "without it nothing happens to the backends")
      ->type_name("FILE|KEY");
  command
      ->add_option("--strategy", arguments.strategies,
                   "Ids with commas between them; without it the strategy of the pool and all that are shipped")
      ->type_name("ID,...")
      ->delimiter(',');
  command->add_option("--plugin-dir", arguments.plugin_dirs, "Directory of plugins, searched first; may be repeated")
      ->type_name("DIR");
  command->add_option("--seed", arguments.seed, "The same seed gives the same numbers")->type_name("N");
  command->add_option("--runs", arguments.runs, "Runs with the seeds that follow, counted together")
      ->type_name("N")
      ->check(CLI::Range(1, 1'000));
  command->add_option("--svg", arguments.svg, "Also draw the response times, into this file")->type_name("FILE");
  command->add_flag("--list", arguments.list, "The scenarios that are shipped");
  command->add_flag("--json", arguments.json, "Say it as JSON");
  command->footer(
      "Nothing is sent anywhere; a run of 60 s takes less than a second.\n"
      "Exit codes: 0 done, 2 wrong use, configuration, scenario or strategy.");
}

/// Wrong use of the commands for operators, of which scripts tell apart what came of them, has a code of its own.
int codeOfWrongUse(int argc, char** argv, const cli::Commands& commands) {
  const std::string name = argc > 1 ? argv[1] : "";
  return commands.has(name) || name == "check" || name == "doctor" || name == "simulate" ? cli::kWrongUse
                                                                                         : kConfigurationError;
}

/// The child's end of a preflight, with the process that waits for it; see preflight.h. Not for people, so --help does
/// not show it.
void addPreflight(CLI::App& app, pid_t& parent) {
  app.add_subcommand("preflight")->group("")->add_option("parent", parent)->required();
}

}  // namespace

int runCommandLine(int argc, char** argv) {
  openStandardDescriptors();
  CLI::App app("Lemonade, a TCP load balancer whose every decision is a plugin", "lemonade");
  app.set_version_flag("--version", std::string("lemonade " LEMONADE_VERSION ", plugin ABI ") +
                                        std::to_string(LEMONADE_ABI_MAJOR) + "." + std::to_string(LEMONADE_ABI_MINOR));
  app.require_subcommand(1);
  LoadBalancerArguments load_balancer;
  load_balancer.command.assign(argv, argv + argc);
  DemoBackendArguments worker;
  UpgradeArguments upgrade;
  DoctorArguments doctor;
  addLoadBalancer(app, load_balancer);
  addDemoBackend(app, worker);
  addUpgrade(app, upgrade);
  addDoctor(app, doctor);
  cli::Commands commands;
  commands.addTo(app);
  CheckArguments check;
  addCheck(app, check);
  SimulateArguments simulate;
  addSimulate(app, simulate);
  pid_t parent = 0;
  addPreflight(app, parent);
  addCommandDescription(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    // CLI11's own codes are above 100.
    return app.exit(e) == 0 ? kSuccess : codeOfWrongUse(argc, argv, commands);
  }
  if (app.got_subcommand("preflight")) return runPreflight(parent);
  if (app.got_subcommand("check")) return runCheck(check);
  if (app.got_subcommand("simulate")) return runSimulate(simulate);
  if (const auto code = commands.run(app)) return *code;
  if (app.got_subcommand("upgrade")) return runUpgrade(upgrade);
  if (app.got_subcommand("doctor")) return runDoctor(doctor);
  return app.got_subcommand("load-balancer") ? runLoadBalancer(load_balancer) : runDemoBackend(worker);
}

}  // namespace lemonade::app
