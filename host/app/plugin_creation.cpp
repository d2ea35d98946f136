// SPDX-License-Identifier: MIT
#include "app/plugin_creation.h"

#include "app/descriptor_findings.h"
#include "app/endpoints.h"
#include "balance/own_choice.h"
#include "config/change.h"
#include "plugin/inert.h"
#include "plugin/text.h"
#include "process/descriptor_budget.h"
#include "process/worker_count.h"
#include "rehearsal/preflight.h"

#include <algorithm>
#include <thread>
#include <utility>

namespace lemonade::app {

namespace {

constexpr std::size_t kMostAlike = 8;  // preflights of the same choice in different pools

/// Whether a chosen plugin runs already with the same options, from a file whose content is still the same. hash is
/// that of the content that runs.
bool runsAlready(const config::PluginChoice& chosen, const config::PluginChoice& running, const std::string& hash,
                 const plugin::Catalog& catalog) {
  const auto found = catalog.plugins.find(chosen.id);
  return found != catalog.plugins.end() && found->second.hash == hash && config::sameChoice(chosen, running);
}

const config::Pool* findPool(const config::Config& config, const std::string& name) {
  const auto found =
      std::find_if(config.pools.begin(), config.pools.end(), [&](const auto& pool) { return pool.name == name; });
  return found == config.pools.end() ? nullptr : &*found;
}

/// What runs in the pool of this name, and how it is configured; nulls where there is no such pool.
std::pair<const RunningPool*, const config::Pool*> runningPool(const Running* running, const std::string& name) {
  if (running == nullptr) return {};
  const auto found = running->pools.find(name);
  const auto* config = findPool(running->config, name);
  return found == running->pools.end() || config == nullptr ? std::pair<const RunningPool*, const config::Pool*>{}
                                                            : std::pair{&found->second, config};
}

/// Whether the strategy of a pool stays because what is chosen is quarantined.
bool standsIn(const config::Pool& pool, const Running* running, const plugin::Catalog& catalog,
              const Quarantine& quarantine) {
  const auto [runs, before] = runningPool(running, pool.name);
  return runs != nullptr && !runs->stands_in_hash.empty() && quarantine.contains(runs->stands_in_hash) &&
         runsAlready(pool.strategy, before->strategy, runs->stands_in_hash, catalog);
}

bool strategyRuns(const config::Pool& pool, const Running* running, const plugin::Catalog& catalog) {
  const auto [runs, before] = runningPool(running, pool.name);
  return runs != nullptr && runsAlready(pool.strategy, before->strategy, runs->strategy_hash, catalog);
}

bool shadowRuns(const config::Pool& pool, const Running* running, const plugin::Catalog& catalog) {
  const auto [runs, before] = runningPool(running, pool.name);
  return runs != nullptr && runsAlready(pool.shadow, before->shadow, runs->shadow_hash, catalog);
}

bool knows(const plugin::OptionSchema& schema, const std::string& option) {
  for (std::uint32_t i = 0; i < schema.count; ++i)
    if (plugin::view(schema.row(i).key) == option) return true;
  return false;
}

bool checkerRuns(const config::Pool& pool, const Running* running, const plugin::Catalog& catalog) {
  const auto [runs, before] = runningPool(running, pool.name);
  return runs != nullptr && runsAlready(pool.health.checker, before->health.checker, runs->checker_hash, catalog);
}

bool sinkRuns(const config::PluginChoice& chosen, const Running* running, const plugin::Catalog& catalog) {
  if (running == nullptr) return false;
  const auto hash = running->sink_hashes.find(chosen.id);
  const auto& sinks = running->config.metrics.sinks;
  return hash != running->sink_hashes.end() && std::any_of(sinks.begin(), sinks.end(), [&](const auto& sink) {
           return runsAlready(chosen, sink, hash->second, catalog);
         });
}

class PluginCreation {
 public:
  PluginCreation(PreparationContext& context, std::optional<Duration> limit, const Running* running,
                 Preparation& preparation, config::Findings& findings)
      : context_(context), limit_(limit), running_(running), preparation_(preparation), findings_(findings) {}

  void run() {
    gather();
    if (!candidates_.empty() && !descriptorsSuffice(kDescriptorsToTryPlugins, "try and load a plugin", findings_))
      return;
    if (limit_) tryAll();
    const auto& config = preparation_.config;
    for (const auto& pool : config.pools) {
      auto& prepared = preparation_.pools[pool.name];
      if (pool.hasShadow()) createShadow(pool, prepared);
      if (standsIn(pool, running_, loader().catalog(), context_.quarantine)) {
        noteStandIn(pool);
      } else if (const auto entry = quarantinedAtStart(pool.strategy)) {
        standInAtStart(pool.strategy, *entry, prepared);
      } else {
        create(pool.strategy, prepared.strategy, &prepared.strategy_file);
        if (strategyRuns(pool, running_, loader().catalog()) &&
            !runningPool(running_, pool.name).first->stands_in_hash.empty())
          preparation_.settled.insert(pool.name);
        checkBackendOptions(pool, prepared);
      }
      create(pool.health.checker, prepared.checker);
    }
    for (const auto& choice : config.metrics.sinks) {
      std::optional<plugin::SinkInstance> sink;
      create(choice, sink);
      if (sink) preparation_.sinks.push_back(std::move(*sink));
    }
  }

 private:
  /// A plugin to create: the choice of a pool, or of the process for a sink.
  struct Candidate {
    const plugin::Kind* kind;
    const config::Pool* pool;  ///< null for a sink
    std::shared_ptr<const plugin::PluginFile> file;
  };

  plugin::Loader& loader() { return *context_.loader; }

  /// Where nothing runs yet, and the content that is there is one that a process before died of: why. Clients are
  /// served all the same.
  std::optional<Quarantine::Entry> quarantinedAtStart(const config::PluginChoice& choice) {
    if (running_ != nullptr) return std::nullopt;
    const auto found = loader().catalog().plugins.find(choice.id);
    if (found == loader().catalog().plugins.end()) return std::nullopt;
    return context_.quarantine.find(found->second.hash);
  }

  /// The same, and says it.
  std::optional<Quarantine::Entry> refusedAtStart(const config::PluginChoice& choice) {
    auto entry = quarantinedAtStart(choice);
    if (entry) noteQuarantined(choice, *entry, "");
    return entry;
  }

  void noteQuarantined(const config::PluginChoice& choice, const Quarantine::Entry& entry, const std::string& instead) {
    preparation_.quarantined.push_back(refusalOf(entry));
    findings_.warning(choice.source, preparation_.quarantined.back() + instead);
  }

  /// The newest content of the same plugin that worked in a process before, else the host's own choice.
  void standInAtStart(const config::PluginChoice& choice, const Quarantine::Entry& entry, PreparedPool& prepared) {
    prepared.stands_in_hash = entry.info.hash;
    for (auto& file : context_.earlier.find(choice.id, entry.info.file, context_.quarantine)) {
      std::vector<plugin::OptionProblem> problems;
      context_.loop.run([&] {
        if (auto created = loader().create<lemonade_strategy_t>(*file, choice, problems))
          prepared.strategy.emplace(std::move(*created));
      });
      if (!prepared.strategy) continue;
      prepared.strategy_file = file;
      return noteQuarantined(choice, entry, "; version " + file->version + " takes its place until then");
    }
    prepared.strategy.emplace(makeOwnChoice());
    noteQuarantined(choice, entry, "; the host's own choice, by weight, takes its place until then");
  }

  /// Why the content that is there is not to be the pool's shadow, if so. The pool does without.
  std::optional<Quarantine::Entry> shadowKeptOut(const config::Pool& pool) {
    const auto found = loader().catalog().plugins.find(pool.shadow.id);
    if (found == loader().catalog().plugins.end()) return std::nullopt;
    return context_.quarantine.findForShadow(found->second.hash);
  }

  void createShadow(const config::Pool& pool, PreparedPool& prepared) {
    if (const auto entry = shadowKeptOut(pool))
      return findings_.warning(pool.shadow.source, "the pool has no shadow: " + refusalOf(*entry));
    if (!shadowRuns(pool, running_, loader().catalog())) create(pool.shadow, prepared.shadow, nullptr, true);
  }

  void noteStandIn(const config::Pool& pool) {
    const auto entry = context_.quarantine.find(running_->pools.at(pool.name).stands_in_hash);
    if (!entry) return;
    noteQuarantined(pool.strategy, *entry, "");
  }

  /// What does not run already and whose file can be read.
  void gather() {
    const auto& config = preparation_.config;
    const auto& catalog = loader().catalog();
    for (const auto& pool : config.pools) {
      if (!strategyRuns(pool, running_, catalog) && !standsIn(pool, running_, catalog, context_.quarantine))
        gather(plugin::kKindOf<lemonade_strategy_t>, pool.strategy, &pool);
      if (pool.hasShadow() && !shadowRuns(pool, running_, catalog) && !shadowKeptOut(pool))
        gather(plugin::kKindOf<lemonade_strategy_t>, pool.shadow, &pool);
      if (pool.health.hasChecker() && !checkerRuns(pool, running_, catalog))
        gather(plugin::kKindOf<lemonade_health_checker_t>, pool.health.checker, &pool);
    }
    for (const auto& choice : config.metrics.sinks)
      if (!sinkRuns(choice, running_, catalog)) gather(plugin::kKindOf<lemonade_metrics_sink_t>, choice, nullptr);
  }

  void gather(const plugin::Kind& kind, const config::PluginChoice& choice, const config::Pool* pool) {
    if (quarantinedAtStart(choice)) return;  // create() puts something else there
    const std::pair key{choice.id, kind.bit};
    auto known = files_.find(key);
    if (known == files_.end()) known = files_.emplace(key, read(choice, kind)).first;
    const auto& file = known->second;
    if (!file) return findings_.error(choice.source, file.error().message);
    if (const auto entry = context_.quarantine.find(file.value()->hash))
      return findings_.error(choice.source, refusalOf(*entry));
    candidates_.emplace(&choice, Candidate{&kind, pool, file.value()});
  }

  Result<std::shared_ptr<const plugin::PluginFile>> read(const config::PluginChoice& choice, const plugin::Kind& kind) {
    auto file = loader().read(choice, kind);
    if (!file) return std::move(file).error();
    return std::make_shared<const plugin::PluginFile>(std::move(file).value());
  }

  /// Tries them side by side; those that are refused are no candidates any more. Of many pools that choose the same
  /// with the same options a few stand for all.
  void tryAll() {
    std::vector<PreflightRequest> requests;
    std::vector<std::vector<const config::PluginChoice*>> chosen;  // by request, who stands or falls with it
    std::map<std::string, std::vector<std::size_t>> alike;         // requests, by what they have in common
    for (const auto& [choice, candidate] : candidates_) {
      Rehearsal common;
      common.kind = candidate.kind->bit;
      common.choice = *choice;
      auto& known = alike[common.encode()];
      if (known.size() == kMostAlike) {
        chosen[known.front()].push_back(choice);
        continue;
      }
      known.push_back(requests.size());
      requests.push_back({rehearsal(*choice, candidate), candidate.file.get()});
      chosen.push_back({choice});
    }
    std::size_t at_once = std::max(2U, std::thread::hardware_concurrency());
    while (at_once > 1 && !canOpen(kDescriptorsToTryPlugins * at_once)) at_once /= 2;
    const auto results = preflight(requests, *limit_, at_once);
    for (std::size_t i = 0; i < results.size(); ++i)
      for (const auto* choice : chosen[i]) note(*choice, results[i]);
  }

  void note(const config::PluginChoice& choice, const Preflight& tried) {
    if (tried.outcome == Preflight::Outcome::kUnable) findings_.warning(choice.source, tried.text);
    if (tried.outcome != Preflight::Outcome::kRefused) return;
    findings_.error(choice.source, tried.text);
    preparation_.refused_plugins.emplace_back(choice.id, tried.text);
    candidates_.erase(&choice);
  }

  /// The options of each backend against those that the strategy declares, be it new or the one that runs, and those
  /// that the shadow does.
  void checkBackendOptions(const config::Pool& pool, const PreparedPool& prepared) {
    plugin::OptionSchema schema, of_shadow;
    const auto* runs = runningPool(running_, pool.name).first;
    if (prepared.strategy)
      schema = plugin::OptionSchema::ofBackends(prepared.strategy->table(), pool.strategy.id);
    else if (strategyRuns(pool, running_, loader().catalog()))
      schema = runs->backend_options;
    else
      return;  // the strategy itself was refused
    if (prepared.shadow)
      of_shadow = plugin::OptionSchema::ofBackends(prepared.shadow->table(), pool.shadow.id);
    else if (pool.hasShadow() && shadowRuns(pool, running_, loader().catalog()))
      of_shadow = runs->shadow_backend_options;
    std::vector<plugin::OptionProblem> problems;
    for (const auto& backend : pool.backends) {
      auto own = backend.options, shadows = own;
      std::erase_if(own, [&](const auto& one) { return !knows(schema, one.key) && knows(of_shadow, one.key); });
      std::erase_if(shadows, [&](const auto& one) { return !knows(of_shadow, one.key); });
      (void)plugin::OptionSet::build(schema, own, backend.source, problems);
      (void)plugin::OptionSet::build(of_shadow, shadows, backend.source, problems);
    }
    for (const auto& problem : problems) findings_.error(problem.source, problem.text);
  }

  /// Puts an instance of the chosen plugin there where it is a candidate, and the file where that is wanted, or adds at
  /// least one finding.
  template <class Table>
  void create(const config::PluginChoice& choice, std::optional<plugin::Instance<Table>>& instance,
              std::shared_ptr<const plugin::PluginFile>* kept = nullptr, bool shadow = false) {
    if (const auto entry = refusedAtStart(choice)) return void(instance.emplace(plugin::makeInert<Table>(entry->info)));
    const auto candidate = candidates_.find(&choice);
    if (candidate == candidates_.end()) return;
    const auto& file = *candidate->second.file;
    if (kept != nullptr) *kept = candidate->second.file;
    std::vector<plugin::OptionProblem> problems;
    context_.loop.run([&] {
      if (auto created = loader().create<Table>(file, choice, problems, shadow)) instance.emplace(std::move(*created));
    });
    for (const auto& problem : problems) findings_.error(problem.source, problem.text);
  }

  Rehearsal rehearsal(const config::PluginChoice& choice, const Candidate& candidate) {
    Rehearsal rehearsal;
    rehearsal.kind = candidate.kind->bit;
    rehearsal.choice = choice;
    rehearsal.file = candidate.file->path;
    rehearsal.workers = workerCount(preparation_.config);
    if (candidate.pool == nullptr) return rehearsal;
    rehearsal.panic_threshold = candidate.pool->health.panic_threshold;
    for (const auto& backend : candidate.pool->backends)
      for (const auto& endpoint : endpoints(backend, targetsOf(backend.host)))
        rehearsal.backends.push_back({endpoint.configured, endpoint.address.text()});
    const auto* runs = runningPool(running_, candidate.pool->name).first;
    if (rehearsal.kind == LEMONADE_KIND_STRATEGY && runs != nullptr && runs->export_state)
      context_.loop.run([&] { rehearsal.state = runs->export_state(); });
    return rehearsal;
  }

  /// What a name leads to, as far as is known.
  std::vector<Target> targetsOf(const std::string& name) const {
    if (const auto found = preparation_.resolutions.find(name); found != preparation_.resolutions.end())
      return updated({}, found->second.targets);
    if (running_ == nullptr) return {};
    const auto found = running_->names.find(name);
    return found == running_->names.end() ? std::vector<Target>() : found->second;
  }

  PreparationContext& context_;
  const std::optional<Duration> limit_;
  const Running* running_;
  Preparation& preparation_;
  config::Findings& findings_;
  std::map<std::pair<std::string, std::uint32_t>, Result<std::shared_ptr<const plugin::PluginFile>>>
      files_;  // by id and kind
  std::map<const config::PluginChoice*, Candidate> candidates_;
};

}  // namespace

void createPlugins(PreparationContext& context, std::optional<Duration> limit, const Running* running,
                   Preparation& preparation, config::Findings& findings) {
  PluginCreation(context, limit, running, preparation, findings).run();
}

}  // namespace lemonade::app
