// SPDX-License-Identifier: MIT
//
// Everything that has to be right before the balancer can run: the configuration, its plugins and their options, the
// addresses of its backends. --validate stops here; a start goes on with what was made.
#pragma once

#include "app/earlier_contents.h"
#include "app/quarantine.h"
#include "app/token_file.h"
#include "balance/resolver.h"
#include "balance/strategy.h"
#include "base/control_loop.h"
#include "config/finding.h"
#include "config/loader.h"
#include "plugin/call_watch.h"
#include "plugin/loader.h"
#include "watch/fingerprint.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace lemonade::app {

/// What names came to, by name.
using Resolutions = std::map<std::string, Resolution>;
/// What names lead to, by name: nothing where one never resolved.
using KnownNames = std::map<std::string, std::vector<Target>>;

/// What runs now in one pool.
struct RunningPool {
  std::string strategy_hash;   ///< of the plugin file's content, as the next three
  std::string stands_in_hash;  ///< that the strategy stands in for, as long as it is quarantined; "": none
  std::string shadow_hash;     ///< "" where none runs
  std::string checker_hash;    ///< "" where the checker is broken and may be made anew
  std::function<std::optional<Strategy::State>()> export_state;  ///< of the strategy; control thread
  plugin::OptionSchema backend_options;                          ///< that the strategy declares
  plugin::OptionSchema shadow_backend_options;                   ///< that the shadow declares
};

/// What runs now, for a reload: a plugin whose choice and content stay is not created again.
struct Running {
  config::Config config;
  std::map<std::string, RunningPool> pools;        ///< by name, those of config
  std::map<std::string, std::string> sink_hashes;  ///< as checker_hash, by id
  KnownNames names;                                ///< all that are configured
};

/// The plugins of one pool that were created for a configuration.
struct PreparedPool {
  std::optional<plugin::StrategyInstance> strategy;         ///< nothing: the running one stays
  std::shared_ptr<const plugin::PluginFile> strategy_file;  ///< that it was made of
  std::string stands_in_hash{};                      ///< of the content that the strategy stands in for; "": none
  std::optional<plugin::StrategyInstance> shadow{};  ///< nothing: the running one stays, where one is configured
  std::optional<plugin::CheckerInstance> checker;    ///< as the strategy
};

/// A configuration with its plugins created. For use only where ok(); otherwise findings say what to mend. Plugins are
/// dropped on the control thread, or after it has ended.
struct Preparation {
  config::Config config;
  Fingerprint seen;                       ///< of what it was made from
  std::vector<config::Finding> findings;  ///< errors and warnings, in the order of the file
  std::set<std::string> repeated;  ///< texts of those that the preparation before had, too, of files that are unchanged
  std::map<std::string, PreparedPool> pools;                           ///< by name, those of config
  std::vector<plugin::SinkInstance> sinks;                             ///< without those that stay
  std::vector<std::pair<std::string, std::string>> refused_plugins{};  ///< by a preflight: ids, and why
  std::vector<std::string> quarantined{};  ///< why plugins stay out for which something stands in, a line each
  std::set<std::string> settled{};         ///< pools whose strategy stood in for one and is now what is chosen
  bool ends_overrides = false;  ///< what operators have changed until the next reload of the file ends with it
  Resolutions resolutions;      ///< of names that nothing runs with yet; without those that have not answered in time

  std::optional<TokensRead> tokens;  ///< of the token file, where there is to be one

  bool ok() const noexcept;
};

/// What preparing works with; lives until the process ends.
struct PreparationContext {
  ControlLoop& loop;
  Resolver& resolver;
  plugin::MetricCells& cells;
  std::unique_ptr<plugin::Loader> loader = nullptr;  ///< made by the first prepare; control thread
  /// Plugins go through a preflight also where nothing runs yet and the configuration wants one at reloads only, so
  /// that --validate survives them.
  bool preflight_first = false;
  std::uint64_t open_at_start = 0;  ///< descriptors that were open before the first prepare
  std::pair<std::uint64_t, std::uint64_t> said_of_descriptors = {};  ///< limit and max_connections of the last warning
  Quarantine quarantine = {};                                        ///< any thread
  EarlierContents earlier = {};                                      ///< control thread, or while it waits
  std::unique_ptr<plugin::CallWatch> call_watch = std::make_unique<plugin::CallWatch>();
  std::set<std::string> remarked = {};  ///< what the last prepare had to say of plugin files, with their state
};

/// Descriptors that have to be free for plugins to be tried and loaded.
constexpr std::uint64_t kDescriptorsToTryPlugins = 10;

/// Takes the configuration from what the file held, scans the plugin directories, resolves new names, for which it
/// waits 0.3 s at most, tries new plugins aside (see preflight.h) and creates them. running: for a reload, else null.
/// Not on the control thread, which must be running; one call at a time.
Preparation prepare(const config::Input& input, const FileContent& file, PreparationContext& context,
                    const Running* running = nullptr);

/// How the warning about a name that has not resolved ends.
constexpr const char* kNameIsTriedAgain = "is down until it resolves, and its name is tried again";

/// What a reload says of a configuration that came through a pipe: words that follow the path.
extern const char* const kReadOnce;

/// Has faults of plugins be contained as configured, from now on. One thread at a time.
void contain(const config::Config& config);

/// Drops what was prepared where it was made: plugins are destroyed on the control thread.
void discard(Preparation& preparation, ControlLoop& loop);

/// Where plugins are looked for: the configured directories, then the installed ones.
std::vector<std::string> pluginSearchPath(const config::Config& config);

}  // namespace lemonade::app
