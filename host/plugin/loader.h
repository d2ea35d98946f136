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
#include "plugin/kind.h"
#include "plugin/metric_cells.h"
#include "plugin/options.h"
#include "plugin/private_copies.h"

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
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

  /// Reads the file of the chosen plugin, which must be of that kind; the error names the plugin. Any thread, while
  /// nothing scans.
  Result<PluginFile> read(const config::PluginChoice& choice, const Kind& kind) const;

  /// Loads the image of a file's content, or returns the one that is in use: create() takes it as long as somebody
  /// holds it. Control thread.
  Result<std::shared_ptr<const Image>> load(const PluginFile& file);

  /// Makes an instance of a file's content with the options of the choice; shadow: one that decides nothing. Returns
  /// nothing where that fails, and has added at least one problem. Control thread.
  template <class Table>
  std::optional<Instance<Table>> create(const PluginFile& file, const config::PluginChoice& choice,
                                        std::vector<OptionProblem>& problems, bool shadow = false) {
    auto made = createOf(kKindOf<Table>, file, choice, problems, shadow);
    if (!made) return std::nullopt;
    return Instance<Table>(*static_cast<const Table*>(made->table), made->self, *made->guard, std::move(made->image),
                           std::move(made->retire));
  }

  /// Keeps the code of a content loaded that is to be used once more: what would stay mapped anyway is not mapped a
  /// second time then. Control thread.
  void keepLoaded(const std::string& hash);

 private:
  /// What an instance is made of, whatever its kind.
  struct Created {
    const void* table;
    void* self;
    Guard* guard;
    std::shared_ptr<const Image> image;
    std::function<void()> retire;
  };

  std::optional<Created> createOf(const Kind& kind, const PluginFile& file, const config::PluginChoice& choice,
                                  std::vector<OptionProblem>& problems, bool shadow);
  std::optional<Created> start(const Kind& kind, const void* table, const std::shared_ptr<const Image>& image,
                               const OptionSet& options, const config::PluginChoice& choice,
                               std::vector<OptionProblem>& problems, bool shadow);

  ControlLoop& loop_;
  MetricCells& cells_;
  KnownFiles known_files_;
  PrivateCopies copies_;
  Catalog catalog_;
  std::map<std::string, std::weak_ptr<const Image>> images_;     // in use, by hash of the content
  std::map<std::string, std::shared_ptr<const Image>> staying_;  // of these, those that are kept loaded
  std::uint64_t image_generation_ = 0;                           // of the newest image
  std::uint64_t instances_ = 0;                                  // created so far: the number of the newest instance
};

}  // namespace lemonade::plugin
