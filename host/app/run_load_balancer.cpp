// SPDX-License-Identifier: MIT
#include "app/exit_codes.h"
#include "app/load_balancer.h"
#include "app/parent.h"
#include "app/preparation.h"
#include "app/run.h"
#include "app/supervision.h"
#include "base/fault_trace.h"
#include "base/json.h"
#include "base/log.h"
#include "base/log_line.h"
#include "base/parent_process.h"
#include "config/environment.h"
#include "plugin/containment.h"
#include "plugin/guarded_thread.h"
#include "process/memory.h"
#include "process/service_manager.h"
#include "process/watchdog.h"

#include <Poco/Exception.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <exception>
#include <filesystem>
#include <iostream>
#include <new>
#include <string>
#include <system_error>
#include <utility>

namespace lemonade::app {

namespace {

bool isShortage(const std::exception& e) {
  if (dynamic_cast<const std::bad_alloc*>(&e) != nullptr) return true;
  const auto* error = dynamic_cast<const std::system_error*>(&e);
  return error != nullptr && (error->code() == std::errc::resource_unavailable_try_again ||  // a thread cannot be made
                              error->code() == std::errc::not_enough_memory);
}

std::string textOf(const std::exception& e) {
  const auto* poco = dynamic_cast<const Poco::Exception*>(&e);
  std::string text = poco != nullptr ? poco->displayText() : e.what();
  if (isShortage(e)) text += "; raise what limits memory and threads (ulimit -a)";
  return text;
}

/// {"valid":true,"file":"a.toml","findings":[{"severity":"warning","file":"a.toml","line":3,"column":1,"text":"..."}]}
std::string findingsJson(const Preparation& preparation) {
  Text text;
  rapidjson::Writer<Text, rapidjson::UTF8<>, rapidjson::UTF8<>, ThrowingAllocator> json(text);
  const auto set = [&json](const char* name, const std::string& value) {
    json.Key(name);
    json.String(log::validUtf8(value).c_str());
  };
  json.StartObject();
  json.Key("valid");
  json.Bool(preparation.ok());
  set("file", preparation.config.file);
  json.Key("findings");
  json.StartArray();
  for (const auto& finding : preparation.findings) {
    json.StartObject();
    set("severity", finding.severity == config::Severity::kError ? "error" : "warning");
    set("file", finding.source.file);
    json.Key("line");
    json.Uint(finding.source.line);
    json.Key("column");
    json.Uint(finding.source.column);
    set("text", finding.text);
    json.EndObject();
  }
  json.EndArray();
  json.EndObject();
  return std::move(text.text);
}

int reportValidation(const Preparation& preparation, bool as_json) {
  const int code = preparation.ok() ? kSuccess : kConfigurationError;
  if (as_json) {
    std::cout << findingsJson(preparation) << std::endl;
    return code;
  }
  for (const auto& finding : preparation.findings) std::cerr << finding.line() << "\n";
  if (!preparation.ok()) return code;
  const auto& file = preparation.config.file;
  std::cout << (file.empty() ? "the environment" : file) << ": the configuration is valid\n";
  return code;
}

void logStartFindings(const Preparation& preparation) {
  for (const auto& finding : preparation.findings) {
    const bool error = finding.severity == config::Severity::kError;
    log::write(error ? log::Level::kError : log::Level::kWarning, "config",
               finding.source.text() + ": " + finding.text);
  }
}

/// The first thing that is wrong, for the supervisor.
std::string firstError(const Preparation& preparation) {
  for (const auto& finding : preparation.findings)
    if (finding.severity == config::Severity::kError) return finding.source.text() + ": " + finding.text;
  return "";
}

int end(int code, Preparation& preparation, PreparationContext& context, Watchdog& watchdog) {
  watchdog.waitingFor("the plugins to go");
  watchdog.end(code);
  discard(preparation, context.loop);
  return code;
}

int serve(Preparation preparation, config::Input input, PreparationContext& context, Watchdog& watchdog, Parent& parent,
          ServiceManager& service_manager, std::uint64_t started_ns) {
  LoadBalancer balancer(std::move(preparation), std::move(input), context, watchdog, parent, service_manager,
                        started_ns);
  const Status started = balancer.start();
  if (!started) {
    log::error("app", started.error().message);
    parent.supervisor.failed(started.error().message);
  }
  if (started) balancer.run();
  const int code = started ? kSuccess : kRuntimeError;
  watchdog.end(code);
  const bool clean = balancer.stop();
  watchdog.waitingFor("the log");
  log::stop();
  watchdog.waitingFor("the plugins to go");
  if (clean) return code;
  // Something still hangs in a thread of its own and may come back to what is being destroyed: end without destroying.
  context.loader.reset();
  ::_exit(code);
}

/// Where the configuration comes from. Whole paths: what runs here may leave the folder, and a reload looks again.
config::Input inputOf(const LoadBalancerArguments& arguments) {
  config::Input input{arguments.config, config::processEnvironment(), arguments.plugin_dirs, {}};
  std::error_code failed;
  const auto folder = std::filesystem::current_path(failed);
  if (failed || arguments.validate) return input;
  input.folder = folder.string();
  if (input.file) input.file = (folder / *input.file).string();
  return input;
}

int runGuarded(const LoadBalancerArguments& arguments, Watchdog& watchdog, Parent& parent, std::uint64_t started_ns) {
  returnFreedMemory();
  plugin::Containment::use(true);  // until it is known what is configured
  const plugin::GuardedThread guarded("main");
  plugin::MetricCells cells;
  ControlLoop loop;
  loop.start();
  loop.run([] { plugin::GuardedThread::guardThisOne("control"); });
  Resolver resolver(loop);
  PreparationContext context{loop, resolver, cells};
  context.preflight_first = arguments.validate;
  for (const auto& [id, version, hash, file, why] : parent.quarantine)
    context.quarantine.add({{id, version, file, 0, hash}, "", why, unixNs()});
  context.earlier.read(std::exchange(parent.earlier, {}));
  context.call_watch->setLimit(config::Misbehaviour{}.hang_limit);
  config::Input input = inputOf(arguments);
  const FileContent file = firstFingerprint(input.file, parent.inherited);
  if (arguments.called_as) input.file = arguments.called_as;
  if (!arguments.validate && !parent.supervisor.exists()) becomeSupervisor(arguments, input, file, parent.inherited);
  auto preparation = prepare(input, file, context);
  if (arguments.validate) return end(reportValidation(preparation, arguments.json), preparation, context, watchdog);
  log::start(preparation.config.log_levels, preparation.config.log_format);
  logStartFindings(preparation);
  if (const auto swept = context.loader != nullptr ? context.loader->swept() : 0; swept != 0)
    log::info("plugin", "removed folders of private copies that killed processes left", {{"folders", swept}});
  if (!preparation.ok()) {
    parent.supervisor.failed(firstError(preparation));
    log::stop();
    return end(kConfigurationError, preparation, context, watchdog);
  }
  ServiceManager service_manager(parent.inherited.kept());
  return serve(std::move(preparation), std::move(input), context, watchdog, parent, service_manager, started_ns);
}

}  // namespace

int runLoadBalancer(const LoadBalancerArguments& arguments) try {
  const std::uint64_t started_ns = nowNs();
  if (arguments.asked_by) endWith(*arguments.asked_by, kRuntimeError);
  (void)::prctl(PR_SET_NAME, "lemonade");  // executed by descriptor or as /proc/self/exe, it would be something else
  Parent parent{InheritedDescriptors::fromEnvironment(), {}};
  if (const auto code = runSupervisor(arguments, parent.inherited)) return *code;
  parent.supervisor = supervisor::Link(parent.inherited.take(supervisor::kChannelName));
  parent.quarantine = supervisor::readQuarantined(parent.inherited.take(supervisor::kQuarantineName).get());
  while (Fd file = parent.inherited.take(supervisor::kEarlierName)) parent.earlier.push_back(std::move(file));
  // Without it goes on as well: the supervisor will know less should this process die.
  if (const Fd trace = parent.inherited.take(supervisor::kTraceName)) (void)fault_trace::use(trace);
  // Who asked whether a configuration is valid must not take an interruption for a yes.
  auto& watchdog = Watchdog::start({.early_code = arguments.validate ? kRuntimeError : kSuccess,
                                    .bound = config::Runtime{}.accept_timeout,
                                    .reloads = !arguments.validate,
                                    .farewell = [] { plugin::PrivateDirectory::removeAll(); }});
  return watchdog.leave(runGuarded(arguments, watchdog, parent, started_ns));
} catch (const std::exception& e) {
  log::error("app", "cannot go on", {{"error", textOf(e)}});
  log::stop();
  return kRuntimeError;
}

}  // namespace lemonade::app
