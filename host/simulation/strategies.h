// SPDX-License-Identifier: MIT
//
// The strategies that take part in a simulation. One thread.
#pragma once

#include "balance/strategy.h"
#include "base/control_loop.h"
#include "config/config.h"
#include "plugin/loader.h"
#include "simulation/inside.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace lemonade::sim {

/// Makes strategies from the plugins of a directory, and contenders. Lives as long as the strategies.
class Strategies {
 public:
  explicit Strategies(const std::string& directory) : Strategies(std::vector<std::string>{directory}) {}
  explicit Strategies(const std::vector<std::string>& directories);
  /// The strategy of this id has these options from now on, besides those it is made with.
  void choose(config::PluginChoice choice) { chosen_ = std::move(choice); }
  /// inside is what contenders are told, and must outlive the strategy. Throws std::runtime_error where the plugin is
  /// missing or refuses its options.
  std::shared_ptr<Strategy> make(const std::string& id, const std::map<std::string, std::string>& options,
                                 Inside& inside);

 private:
  // Kept until the process ends, as host handles demand.
  ControlLoop& loop_ = *new ControlLoop;
  plugin::MetricCells& cells_ = *new plugin::MetricCells;
  plugin::Loader loader_{loop_, cells_, ""};
  config::PluginChoice chosen_;
};

}  // namespace lemonade::sim
