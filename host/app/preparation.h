// SPDX-License-Identifier: MIT
//
// Everything that has to be right before the balancer can run: the configuration, its plugins and their options, the
// addresses of its backends. --validate stops here; a start goes on with what was made.
#pragma once

#include "balance/resolver.h"
#include "base/control_loop.h"
#include "config/finding.h"
#include "config/loader.h"
#include "plugin/loader.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lemonade::app {

/// What a host name came to at the start.
using Resolutions = std::map<std::string, Resolution>;

/// A configuration with its plugins created. For use only where ok(); otherwise findings say what to mend. Plugins are
/// dropped on the control thread, or after it has ended.
struct Preparation {
  config::Config config;
  std::vector<config::Finding> findings;  ///< errors and warnings, in the order of the file
  std::optional<plugin::StrategyInstance> strategy;
  std::optional<plugin::CheckerInstance> checker;
  std::vector<plugin::SinkInstance> sinks;
  Resolutions resolutions;  ///< by host

  bool ok() const noexcept;
};

/// Loads the configuration. Where it is in order, scans the plugin directories, creates the plugins and resolves the
/// names, for which it waits a few seconds at most. Runs on the thread that starts the balancer; loop is running.
Preparation prepare(const config::Input& input, ControlLoop& loop, Resolver& resolver, plugin::MetricCells& cells,
                    std::unique_ptr<plugin::Loader>& loader);

/// The number of workers that a configuration asks for: one for each usable core where it says 0.
std::uint32_t workerCount(const config::Config& config);

}  // namespace lemonade::app
