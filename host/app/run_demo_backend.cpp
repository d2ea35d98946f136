// SPDX-License-Identifier: MIT
#include "app/exit_codes.h"
#include "app/run.h"
#include "base/log.h"
#include "config/environment.h"
#include "config/loader.h"
#include "demo/demo_backend.h"
#include "process/signals.h"
#include "process/watchdog.h"

#include <exception>
#include <future>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

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

using namespace std::chrono_literals;
constexpr Duration kStopsWithin = 10s;

int serve(demo::DemoOptions options, Watchdog& watchdog) {
  demo::DemoBackend backend(std::move(options));
  if (auto started = backend.start(); !started) {
    log::error("worker", started.error().message);
    return kRuntimeError;
  }
  // The second signal is the watchdog's alone, and it may come after the promise was kept.
  const auto asked = std::make_shared<std::promise<int>>();
  watchdog.serve([asked, once = false](int signal) mutable {
    if (!std::exchange(once, true)) asked->set_value(signal);
  });
  const int signal = asked->get_future().get();
  log::info("worker", "stopping", {{"signal", nameOf(signal)}, {"requests", backend.requests()}});
  watchdog.waitingFor("requests under way");
  watchdog.end(kSuccess);
  backend.stop();
  log::stop();
  return kSuccess;
}

int runGuarded(const DemoBackendArguments& arguments, Watchdog& watchdog) {
  const auto environment = config::processEnvironment();
  auto loaded =
      demo::loadDemoOptions({arguments.config, environment, arguments.address, arguments.name, arguments.delay});
  for (const auto& finding : loaded.findings) std::cerr << finding.line() << "\n";
  if (!startLog(environment) || !loaded.ok()) return kConfigurationError;
  return serve(std::move(loaded.options), watchdog);
}

}  // namespace

int runDemoBackend(const DemoBackendArguments& arguments) try {
  auto& watchdog = Watchdog::start({.early_code = kSuccess, .bound = kStopsWithin, .reloads = false, .farewell = {}});
  return watchdog.leave(runGuarded(arguments, watchdog));
} catch (const std::exception& e) {
  log::error("worker", "cannot go on", {{"error", e.what()}});
  return kRuntimeError;
}

}  // namespace lemonade::app
