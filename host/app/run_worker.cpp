// SPDX-License-Identifier: MIT
#include "app/exit_codes.h"
#include "app/run.h"
#include "app/signals.h"
#include "base/log.h"
#include "config/environment.h"
#include "config/loader.h"
#include "worker/worker.h"

#include <signal.h>

#include <cstring>
#include <exception>
#include <iostream>
#include <string>

namespace lemonade::app {

namespace {

/// The log is shaped by the variables that shape the balancer's; what else the environment says is not for a worker.
bool startLog(const config::Environment& environment) {
  const auto loaded = config::load({std::nullopt, environment, {}});
  bool valid = true;
  for (const auto& finding : loaded.findings) {
    if (!finding.source.file.starts_with("LEMONADE_LOG")) continue;
    std::cerr << finding.line() << "\n";
    valid = false;
  }
  if (valid) log::start(loaded.config.log_levels, loaded.config.log_format);
  return valid;
}

int serve(worker::WorkerOptions options, Signals& signals) {
  worker::Worker worker(std::move(options));
  if (auto started = worker.start(); !started) {
    log::error("worker", started.error().message);
    return kRuntimeError;
  }
  const int signal = signals.wait();
  log::info("worker", "stopping",
            {{"signal", std::string("SIG") + ::sigabbrev_np(signal)}, {"requests", worker.requests()}});
  worker.stop();
  log::stop();
  return kSuccess;
}

}  // namespace

int runWorker(const WorkerArguments& arguments) try {
  Signals signals({SIGTERM, SIGINT});
  const auto environment = config::processEnvironment();
  auto loaded = worker::loadWorkerOptions(
      {arguments.config, environment, arguments.address, arguments.name, arguments.delay});
  for (const auto& finding : loaded.findings) std::cerr << finding.line() << "\n";
  if (!startLog(environment) || !loaded.ok()) return kConfigurationError;
  return serve(std::move(loaded.options), signals);
} catch (const std::exception& e) {
  log::error("worker", "cannot go on", {{"error", e.what()}});
  return kRuntimeError;
}

}  // namespace lemonade::app
