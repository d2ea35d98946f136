// SPDX-License-Identifier: MIT
#include "app/run.h"
#include "app/signals.h"
#include "base/log.h"
#include "config/environment.h"
#include "worker/worker.h"

#include <signal.h>

#include <cstring>
#include <exception>
#include <iostream>
#include <string>

namespace lemonade::app {

namespace {

constexpr int kSuccess = 0;
constexpr int kConfigurationError = 1;
constexpr int kRuntimeError = 2;

int serve(worker::WorkerOptions options, Signals& signals) {
  worker::Worker worker(std::move(options));
  if (auto started = worker.start(); !started) {
    log::error("worker", started.error().message);
    return kRuntimeError;
  }
  const int signal = signals.wait();
  log::info("worker", "stopping",
            {{"signal", std::string("SIG") + ::sigabbrev_np(signal)}, {"requests", std::to_string(worker.requests())}});
  worker.stop();
  return kSuccess;
}

}  // namespace

int runWorker(const WorkerArguments& arguments) try {
  Signals signals({SIGTERM, SIGINT});
  auto loaded = worker::loadWorkerOptions(
      {arguments.config, config::processEnvironment(), arguments.address, arguments.name, arguments.delay});
  for (const auto& finding : loaded.findings) std::cerr << finding.line() << "\n";
  if (!loaded.ok()) return kConfigurationError;
  return serve(std::move(loaded.options), signals);
} catch (const std::exception& e) {
  log::error("worker", "cannot go on", {{"error", e.what()}});
  return kRuntimeError;
}

}  // namespace lemonade::app
