// SPDX-License-Identifier: MIT
//
// Everything that --validate looks at, and then what only trying shows: names, backends, ports, listeners, limits.
#include "app/edges.h"
#include "app/endpoints.h"
#include "app/exit_codes.h"
#include "app/preparation.h"
#include "app/run.h"
#include "app/supervision.h"
#include "base/inherited_descriptors.h"
#include "base/log.h"
#include "config/duration.h"
#include "config/environment.h"
#include "doctor/checks.h"
#include "doctor/descriptors.h"
#include "doctor/forwarding.h"
#include "doctor/kernel.h"
#include "doctor/listeners.h"
#include "doctor/names.h"
#include "doctor/ports.h"
#include "doctor/proc_net.h"
#include "doctor/reach.h"
#include "doctor/report.h"
#include "process/descriptor_budget.h"
#include "process/watchdog.h"

#include <unistd.h>

#include <algorithm>
#include <exception>
#include <iostream>
#include <set>
#include <string>

namespace lemonade::app {

namespace {

constexpr const char* kProc = "/proc";
constexpr int kProblems = 1;
constexpr int kUsage = 2;

/// What names and descriptors come to is told by the examination itself, which waits longer for names.
bool isToldElsewhere(const config::Finding& finding) {
  if (finding.severity == config::Severity::kError) return false;
  return finding.text.ends_with(kNameIsTriedAgain) ||
         (finding.source.file == "proxy.max_connections" && finding.source.line == 0);
}

doctor::Findings judgeFile(const Preparation& preparation) {
  doctor::Findings findings;
  for (const auto& finding : preparation.findings) {
    if (isToldElsewhere(finding)) continue;
    const bool error = finding.severity == config::Severity::kError;
    findings.push_back({error ? doctor::Level::kProblem : doctor::Level::kWarning, "configuration", finding.text,
                        finding.source.text()});
  }
  if (!preparation.ok()) return findings;
  const std::string file = preparation.config.file.empty() ? "the environment" : preparation.config.file;
  findings.insert(findings.begin(), {doctor::Level::kOk, "configuration", file + " is valid", ""});
  std::set<std::string> plugins;
  for (const auto& pool : preparation.config.pools) {
    plugins.insert(pool.strategy.id);
    if (pool.health.hasChecker()) plugins.insert(pool.health.checker.id);
  }
  for (const auto& sink : preparation.config.metrics.sinks) plugins.insert(sink.id);
  std::string names;
  for (const auto& plugin : plugins) names += (names.empty() ? "" : ", ") + plugin;
  findings.push_back({doctor::Level::kOk, "plugins", names + ": tried and loaded", ""});
  return findings;
}

doctor::Patients patientsOf(const Preparation& preparation, const doctor::Answers& answers) {
  doctor::Patients patients;
  for (const auto& pool : preparation.config.pools) {
    const auto prepared = preparation.pools.find(pool.name);
    const auto* checker =
        prepared != preparation.pools.end() && prepared->second.checker ? &*prepared->second.checker : nullptr;
    const auto source = Address::parse(pool.source_address, 0).value_or(Address());
    for (const auto& backend : pool.backends) {
      const auto answer = answers.find(backend.host);
      const auto targets = answer == answers.end() ? std::vector<Target>() : answer->second.resolution.targets;
      for (const auto& endpoint : endpoints(backend, targets))
        patients.push_back({&pool, endpoint.configured, endpoint.address, source, routeOf(pool), checker});
    }
  }
  return patients;
}

/// A check of what cannot even be connected to says nothing more.
void leaveOutUnreachable(doctor::Patients& patients, const std::vector<doctor::Reached>& reached) {
  for (std::size_t i = 0; i < patients.size(); ++i)
    if (reached[i].error != 0 && patients[i].route.target(patients[i].address) == patients[i].address)
      patients[i].checker = nullptr;
}

doctor::Findings examine(const Preparation& preparation, PreparationContext& context, std::uint64_t deadline_ns) {
  const auto& config = preparation.config;
  auto findings = judgeFile(preparation);
  const auto add = [&](doctor::Findings more) { findings.insert(findings.end(), more.begin(), more.end()); };
  add(doctor::examineDescriptors(config, context.open_at_start, descriptorLimit()));
  add(doctor::examineKernel(config, kProc));
  const auto sockets = doctor::tcpSockets(kProc);
  add(doctor::examineListeners(config, sockets, kProc));
  const auto answers = doctor::resolveNames(config, context.loop, context.resolver, deadline_ns);
  add(doctor::judgeNames(config, answers));
  auto patients = patientsOf(preparation, answers);
  add(doctor::examineForwarding(config, patients, kProc));
  add(doctor::examinePorts(config, patients, sockets, kProc));
  const auto reached = doctor::reach(patients, deadline_ns);
  add(doctor::judgeReach(patients, reached));
  leaveOutUnreachable(patients, reached);
  add(doctor::judgeChecks(patients, doctor::check(patients, context.loop, deadline_ns)));
  return findings;
}

int runExamination(const DoctorArguments& arguments, Duration timeout) {
  const std::uint64_t began_ns = nowNs();
  plugin::MetricCells cells;
  ControlLoop loop;
  loop.start();
  Resolver resolver(loop);
  PreparationContext context{loop, resolver, cells};
  context.preflight_first = true;
  config::Input input{arguments.config, config::processEnvironment(), arguments.plugin_dirs};
  auto none = InheritedDescriptors::fromEnvironment();
  auto preparation = prepare(input, firstFingerprint(input.file, none), context);
  // Of a configuration that cannot be used nothing is tried.
  const auto findings = preparation.ok()
                            ? examine(preparation, context, began_ns + static_cast<std::uint64_t>(timeout.count()))
                            : judgeFile(preparation);
  discard(preparation, loop);
  if (arguments.json)
    doctor::printJson(std::cout, findings);
  else
    doctor::printReport(std::cout, findings, ::isatty(STDOUT_FILENO) == 1);
  std::cout.flush();
  return doctor::hasProblem(findings) ? kProblems : kSuccess;
}

}  // namespace

int runDoctor(const DoctorArguments& arguments) try {
  const auto timeout = config::parseDuration(arguments.timeout);
  if (!timeout || *timeout < std::chrono::milliseconds(100) || *timeout > std::chrono::hours(1)) {
    std::cerr << "lemonade doctor: --timeout \"" << arguments.timeout
              << "\" is no duration from 100ms to 1h; write \"10s\"\n";
    return kUsage;
  }
  auto& watchdog = Watchdog::start(
      {.early_code = kUsage, .bound = config::Runtime{}.accept_timeout, .reloads = false, .farewell = [] {
         plugin::PrivateDirectory::removeAll();
       }});
  const int code = runExamination(arguments, *timeout);
  watchdog.end(code);
  return watchdog.leave(code);
} catch (const std::exception& e) {
  std::cerr << "lemonade doctor: " << e.what() << "\n";
  return kUsage;
}

}  // namespace lemonade::app
