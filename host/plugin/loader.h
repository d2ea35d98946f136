// SPDX-License-Identifier: MIT
//
// Makes instances of plugins by id: finds the file, loads its image, checks the interface and the options, creates the
// instance with a host handle of its own. Control thread, or before there is one.
#pragma once

#include "base/control_loop.h"
#include "config/config.h"
#include "plugin/catalog.h"
#include "plugin/image.h"
#include "plugin/instance.h"
#include "plugin/metric_cells.h"
#include "plugin/options.h"
#include "plugin/private_copies.h"

#include <lemonade/health_checker.h>
#include <lemonade/metrics_sink.h>
#include <lemonade/strategy.h>

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lemonade::plugin {

using StrategyInstance = Instance<lemonade_strategy_t>;
using CheckerInstance = Instance<lemonade_health_checker_t>;
using SinkInstance = Instance<lemonade_metrics_sink_t>;

class Loader {
 public:
  /// loop and cells must live until the process ends; see HostHandle. cache_directory may be "".
  Loader(ControlLoop& loop, MetricCells& cells, const std::string& cache_directory)
      : loop_(loop), cells_(cells), copies_(cache_directory) {}
  /// The same, with private copies in memory: nothing of them outlives a process that crashes.
  Loader(ControlLoop& loop, MetricCells& cells) : loop_(loop), cells_(cells) {}

  /// Where private copies go from now on; those there are stay where they are. Control thread.
  void setCacheDirectory(const std::string& directory) { copies_.prefer(directory); }
  /// Where private copies went and why, since the last call: what an operator should know. Control thread.
  std::vector<std::string> takeRemarks() { return copies_.takeRemarks(); }
  /// How many folders of copies that killed processes left were removed.
  std::size_t swept() const noexcept { return copies_.swept(); }

  /// Scans the directories, in the order of precedence; what it skipped is in catalog().remarks.
  void scan(const std::vector<std::string>& directories);
  const Catalog& catalog() const noexcept { return catalog_; }

  /// The file of the chosen plugin as it is now; the error names the plugin. kind is one of LEMONADE_KIND_*. Any
  /// thread, while nothing scans.
  Result<PluginFile> read(const config::PluginChoice& choice, std::uint32_t kind) const;

  /// An instance of the chosen plugin, or nothing and at least one problem more. With a file: of exactly that content.
  std::optional<StrategyInstance> strategy(const config::PluginChoice& choice, std::vector<OptionProblem>& problems);
  std::optional<StrategyInstance> strategy(const PluginFile& file, const config::PluginChoice& choice,
                                           std::vector<OptionProblem>& problems);
  std::optional<CheckerInstance> checker(const config::PluginChoice& choice, std::vector<OptionProblem>& problems);
  std::optional<CheckerInstance> checker(const PluginFile& file, const config::PluginChoice& choice,
                                         std::vector<OptionProblem>& problems);
  std::optional<SinkInstance> sink(const config::PluginChoice& choice, std::vector<OptionProblem>& problems);
  std::optional<SinkInstance> sink(const PluginFile& file, const config::PluginChoice& choice,
                                   std::vector<OptionProblem>& problems);

 private:
  template <class Table>
  std::optional<Instance<Table>> create(const config::PluginChoice& choice, std::vector<OptionProblem>& problems);
  template <class Table>
  std::optional<Instance<Table>> create(const PluginFile& file, const config::PluginChoice& choice,
                                        std::vector<OptionProblem>& problems);
  template <class Table>
  std::optional<Instance<Table>> start(const Table& table, const std::shared_ptr<const Image>& image,
                                       const OptionSet& options, const config::PluginChoice& choice,
                                       std::vector<OptionProblem>& problems);
  Result<std::shared_ptr<const Image>> image(const PluginFile& file);

  ControlLoop& loop_;
  MetricCells& cells_;
  PrivateCopies copies_;
  Catalog catalog_;
  std::map<std::string, std::weak_ptr<const Image>> images_;  // in use, by hash of the content
  std::uint64_t generation_ = 0;                              // of the newest image
  std::uint64_t instances_ = 0;                               // created so far
};

}  // namespace lemonade::plugin
