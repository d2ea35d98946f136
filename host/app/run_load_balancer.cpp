// SPDX-License-Identifier: MIT
#include "app/exit_codes.h"
#include "app/load_balancer.h"
#include "app/memory.h"
#include "app/preparation.h"
#include "app/run.h"
#include "app/signals.h"
#include "base/log.h"
#include "config/environment.h"

#include <Poco/Exception.h>
#include <signal.h>
#include <unistd.h>

#include <exception>
#include <iostream>

namespace lemonade::app {

namespace {

int reportValidation(const Preparation& preparation) {
  for (const auto& finding : preparation.findings) std::cerr << finding.line() << "\n";
  if (!preparation.ok()) return kConfigurationError;
  const auto& file = preparation.config.file;
  std::cout << (file.empty() ? "the environment" : file) << ": the configuration is valid\n";
  return kSuccess;
}

void logStartFindings(const Preparation& preparation) {
  for (const auto& finding : preparation.findings) {
    const bool error = finding.severity == config::Severity::kError;
    log::write(error ? log::Level::kError : log::Level::kWarning, "config", finding.source.text() + ": " + finding.text);
  }
}

int end(int code, Preparation& preparation, Workshop& workshop) {
  discard(preparation, workshop.loop);
  return code;
}

int serve(Preparation preparation, config::Input input, Workshop& workshop, Signals& signals,
          std::uint64_t started_ns) {
  auto& loop = workshop.loop;
  LoadBalancer balancer(std::move(preparation), std::move(input), workshop, started_ns);
  const Status started = balancer.start();
  if (!started) log::error("app", started.error().message);
  if (started) {
    loop.run([&] {
      loop.watch(signals.fd(), [&] {
        while (const auto signal = signals.next()) balancer.onSignal(*signal);
      });
    });
    balancer.run();
    loop.run([&] { loop.unwatch(signals.fd()); });
  }
  const bool clean = balancer.stop();
  log::stop();
  const int code = started ? kSuccess : kRuntimeError;
  if (clean) return code;
  // Something still hangs in a thread of its own and may come back to what is being destroyed: end without destroying.
  workshop.loader.reset();
  ::_exit(code);
}

int runGuarded(const LoadBalancerArguments& arguments, std::uint64_t started_ns) {
  returnFreedMemory();
  Signals signals({SIGTERM, SIGINT, SIGHUP});
  plugin::MetricCells cells;
  ControlLoop loop;
  loop.start();
  Resolver resolver(loop);
  Workshop workshop{loop, resolver, cells};
  workshop.preflight_first = arguments.validate;
  config::Input input{arguments.config, config::processEnvironment(), arguments.plugin_dirs};
  auto preparation = prepare(input, lookAtFirst(input.file), workshop);
  if (arguments.validate) return end(reportValidation(preparation), preparation, workshop);
  log::start(preparation.config.log_levels, preparation.config.log_format);
  logStartFindings(preparation);
  if (!preparation.ok()) {
    log::stop();
    return end(kConfigurationError, preparation, workshop);
  }
  return serve(std::move(preparation), std::move(input), workshop, signals, started_ns);
}

}  // namespace

int runLoadBalancer(const LoadBalancerArguments& arguments) try {
  return runGuarded(arguments, nowNs());
} catch (const std::exception& e) {
  const auto* poco = dynamic_cast<const Poco::Exception*>(&e);
  log::error("app", "cannot go on", {{"error", poco != nullptr ? poco->displayText() : e.what()}});
  log::stop();
  return kRuntimeError;
}

}  // namespace lemonade::app
