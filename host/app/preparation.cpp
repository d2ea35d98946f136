// SPDX-License-Identifier: MIT
#include "app/preparation.h"

#include "app/endpoints.h"
#include "app/own_listeners.h"
#include "app/plugin_paths.h"
#include "balance/own_choice.h"
#include "config/change.h"
#include "plugin/containment.h"
#include "plugin/inert.h"
#include "process/descriptor_budget.h"
#include "process/worker_count.h"
#include "rehearsal/preflight.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;
// Long enough for a second name server to answer where the first one is silent.
constexpr auto kResolveWait = 300ms;
constexpr std::uint64_t kDescriptorsToRead = 3;
constexpr std::size_t kMostAlike = 8;  // preflights of the same choice in different pools

/// The names of backends that nothing runs with yet.
std::set<std::string> newNames(const config::Config& config, const Running* running) {
  std::set<std::string> names;
  for (const auto& pool : config.pools)
    for (const auto& backend : pool.backends)
      if (running == nullptr || !running->names.contains(backend.host)) names.insert(backend.host);
  return names;
}

/// A pool may get a name that another pool runs with already.
void addKnownNames(Preparation& preparation, const Running& running) {
  for (const auto& pool : preparation.config.pools)
    for (const auto& backend : pool.backends) {
      const auto known = running.names.find(backend.host);
      if (known != running.names.end() && !known->second.empty())
        preparation.resolutions.try_emplace(backend.host,
                                            Resolution{Resolution::Outcome::kFound, known->second, {}, {}});
    }
}

/// Asks for all names at once and waits for the answers; without those that have none by then.
Resolutions resolveAll(const std::set<std::string>& names, ControlLoop& loop, Resolver& resolver) {
  struct Answers {
    std::mutex mutex;
    std::condition_variable arrived;
    Resolutions resolutions;
  };
  // Shared with the callbacks: one that comes late finds it still there.
  const auto answers = std::make_shared<Answers>();
  loop.run([&] {
    for (const auto& name : names)
      resolver.resolve(name, [answers, name](const Resolution& resolution) {
        const std::lock_guard lock(answers->mutex);
        answers->resolutions[name] = resolution;
        answers->arrived.notify_one();
      });
  });
  std::unique_lock lock(answers->mutex);
  answers->arrived.wait_for(lock, kResolveWait, [&] { return answers->resolutions.size() == names.size(); });
  return answers->resolutions;
}

/// What the operator should know of the name of a backend, which was asked for.
void addName(const Preparation& preparation, const config::Backend& backend, config::Findings& findings) {
  const auto found = preparation.resolutions.find(backend.host);
  const bool in_time = found != preparation.resolutions.end();
  if (in_time && found->second.ok()) {
    if (!found->second.left_out.empty())
      findings.warning(backend.address_source, "name \"" + backend.host + "\": not used are " + found->second.left_out);
    return;
  }
  findings.warning(backend.address_source,
                   (in_time ? found->second.error
                            : "name \"" + backend.host + "\" has not resolved within " +
                                  std::to_string(std::chrono::milliseconds(kResolveWait).count()) +
                                  " ms: no name server has answered yet") +
                       "; backend " + backend.id + " " + kNameIsTriedAgain);
}

void addNames(const Preparation& preparation, const std::set<std::string>& asked, config::Findings& findings) {
  for (const auto& pool : preparation.config.pools)
    for (const auto& backend : pool.backends)
      if (asked.contains(backend.host)) addName(preparation, backend, findings);
}

/// False, and says so, where there are not so many descriptors: what goes on without would take that for a fault of a
/// file or a plugin.
bool descriptorsSuffice(std::uint64_t count, const char* what, config::Findings& findings) {
  if (canOpen(count)) return true;
  findings.error({"descriptors", 0, 0}, std::to_string(count) + " are needed to " + what + ", and the limit of " +
                                            std::to_string(descriptorLimit()) +
                                            " does not leave as many; raise it (ulimit -n, LimitNOFILE)");
  return false;
}

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

/// Creates the plugins that do not run already. Each file is read once, so that the content that passed the preflight
/// is the content that is loaded.
class PluginCreation {
 public:
  /// limit bounds each preflight; nothing: no preflight.
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
      if (standsIn(pool, running_, loader().catalog(), context_.quarantine)) {
        noteStandIn(pool);
      } else if (const auto entry = refusedAtStart(pool.strategy)) {
        prepared.strategy.emplace(makeOwnChoice());
        prepared.stands_in_hash = entry->info.hash;
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
    if (!entry) return std::nullopt;
    preparation_.quarantined.push_back(refusalOf(*entry));
    findings_.warning(choice.source, preparation_.quarantined.back());
    return entry;
  }

  void noteStandIn(const config::Pool& pool) {
    const auto entry = context_.quarantine.find(running_->pools.at(pool.name).stands_in_hash);
    if (!entry) return;
    preparation_.quarantined.push_back(refusalOf(*entry));
    findings_.warning(pool.strategy.source, preparation_.quarantined.back());
  }

  /// What does not run already and whose file can be read.
  void gather() {
    const auto& config = preparation_.config;
    const auto& catalog = loader().catalog();
    for (const auto& pool : config.pools) {
      if (!strategyRuns(pool, running_, catalog) && !standsIn(pool, running_, catalog, context_.quarantine))
        gather(plugin::kKindOf<lemonade_strategy_t>, pool.strategy, &pool);
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

  /// The options of each backend against those that the strategy declares, be it new or the one that runs.
  void checkBackendOptions(const config::Pool& pool, const PreparedPool& prepared) {
    plugin::OptionSchema schema;
    if (prepared.strategy)
      schema = plugin::OptionSchema::ofBackends(prepared.strategy->table(), pool.strategy.id);
    else if (strategyRuns(pool, running_, loader().catalog()))
      schema = runningPool(running_, pool.name).first->backend_options;
    else
      return;  // the strategy itself was refused
    std::vector<plugin::OptionProblem> problems;
    for (const auto& backend : pool.backends)
      (void)plugin::OptionSet::build(schema, backend.options, backend.source, problems);
    for (const auto& problem : problems) findings_.error(problem.source, problem.text);
  }

  /// Puts an instance of the chosen plugin there where it is a candidate, and the file where that is wanted, or adds at
  /// least one finding.
  template <class Table>
  void create(const config::PluginChoice& choice, std::optional<plugin::Instance<Table>>& instance,
              std::shared_ptr<const plugin::PluginFile>* kept = nullptr) {
    if (const auto entry = refusedAtStart(choice)) return void(instance.emplace(plugin::makeInert<Table>(entry->info)));
    const auto candidate = candidates_.find(&choice);
    if (candidate == candidates_.end()) return;
    const auto& file = *candidate->second.file;
    if (kept != nullptr) *kept = candidate->second.file;
    std::vector<plugin::OptionProblem> problems;
    context_.loop.run([&] {
      if (auto created = loader().create<Table>(file, choice, problems)) instance.emplace(std::move(*created));
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

/// How long a preflight may take; nothing for none.
std::optional<Duration> limitOf(const config::Input& input, config::PreflightWhen when,
                                const PreparationContext& context, const Running* running, config::Findings& findings) {
  auto limit = preflightLimit(input.environment);
  if (!limit) findings.error({"LEMONADE_PREFLIGHT", 0, 0}, limit.error().message);
  if (!limit || when == config::PreflightWhen::kOff) return std::nullopt;
  const bool is_start = running == nullptr && !context.preflight_first;
  return is_start && when == config::PreflightWhen::kReload ? std::nullopt : limit.value();
}

/// What was skipped and why; what was said of the same file before is marked.
void addRemarks(PreparationContext& context, Preparation& preparation, config::Findings& findings) {
  std::set<std::string> remarked;
  for (const auto& remark : context.loader->catalog().remarks) {
    findings.warning({"plugins", 0, 0}, remark.text);
    const auto [key, added] = remarked.insert(remark.text + "\n" + lookAtPlugin(remark.path));
    if (context.remarked.contains(*key)) preparation.repeated.insert(remark.text);
  }
  context.remarked = std::move(remarked);
}

/// Raises the limit of descriptors as far as it may be, has room made for them, and says where that is not far enough.
void checkDescriptors(PreparationContext& context, Preparation& preparation, config::Findings& findings) {
  if (context.open_at_start == 0) context.open_at_start = openDescriptors();
  const auto share = [&](std::uint64_t limit) { return shareOut(preparation.config, context.open_at_start, limit); };
  const auto budget = share(raiseDescriptorLimit(share(descriptorLimit()).wanted));
  growDescriptorTable(std::min(budget.limit, budget.wanted));
  if (budget.suffices()) return;
  std::uint64_t max_connections = 0;
  for (const auto& listener : preparation.config.listeners) max_connections += listener.max_connections;
  const std::string text = budget.text(max_connections);
  findings.warning({"proxy.max_connections", 0, 0}, text);
  const std::pair<std::uint64_t, std::uint64_t> which{budget.limit, max_connections};
  if (std::exchange(context.said_of_descriptors, which) == which) preparation.repeated.insert(text);
}

/// A backend that is one of our own listeners is reached by a client only to be a client again.
void warnOfLoop(const Preparation& preparation, const config::Backend& backend, const OwnListeners& own,
                config::Findings& findings) {
  const auto found = preparation.resolutions.find(backend.host);
  const auto targets =
      found == preparation.resolutions.end() ? std::vector<Target>() : updated({}, found->second.targets);
  for (const auto& endpoint : endpoints(backend, targets)) {
    if (!own.reachedBy(endpoint.address)) continue;
    findings.warning(backend.address_source, "backend \"" + backend.id + "\" is one of our own listeners, " +
                                                 endpoint.address.text() +
                                                 "; no client is sent there: give the address of the server");
    return;
  }
}

void warnOfLoops(const Preparation& preparation, config::Findings& findings) {
  std::vector<Address> listeners;
  for (const auto& listener : preparation.config.listeners)
    for (const auto& listen : listener.addresses)
      if (const auto address = Address::parse(listen.address)) listeners.push_back(*address);
  if (preparation.config.admin)
    if (const auto address = Address::parse(preparation.config.admin->address)) listeners.push_back(*address);
  const OwnListeners own(std::move(listeners));
  for (const auto& pool : preparation.config.pools)
    for (const auto& backend : pool.backends) warnOfLoop(preparation, backend, own, findings);
}

/// Other machines change nothing until the file is there and right; that is no reason not to balance.
void readTokens(Preparation& preparation, config::Findings& findings) {
  const auto& access = preparation.config.admin_access;
  if (access.token_file.empty()) return;
  Looker looker;
  preparation.tokens = readTokenFile(access.token_file, looker);
  for (const auto& problem : preparation.tokens->problems) findings.warning(access.token_file_source, problem);
}

}  // namespace

void contain(const config::Config& config) {
  plugin::Containment::use(config.misbehaviour.containment == config::Containment::kOn);
  plugin::Containment::speakJson(config.log_format == log::Format::kJson);
}

bool Preparation::ok() const noexcept {
  return std::none_of(findings.begin(), findings.end(),
                      [](const auto& finding) { return finding.severity == config::Severity::kError; });
}

const char* const kReadOnce =
    "came through a pipe, which cannot be read again: the configuration stays as it was at the start, a reload looks "
    "only "
    "at plugins and names; give a file to change more";

Preparation prepare(const config::Input& input, const FileContent& file, PreparationContext& context,
                    const Running* running) {
  Preparation preparation;
  config::Findings findings;
  preparation.seen.file = file;
  if (!descriptorsSuffice(kDescriptorsToRead, "read a configuration", findings)) {
    preparation.findings = std::move(findings).take();
    return preparation;
  }
  auto loaded = config::load(input, file.problem.empty() ? Result<std::string>(file.text) : Error{file.problem});
  preparation.config = std::move(loaded.config);
  if (running == nullptr) contain(preparation.config);
  preparation.seen.plugins = lookAtPlugins(pluginSearchPath(preparation.config));
  findings.add(std::move(loaded.findings));
  if (running != nullptr && !file.again) findings.warning({*input.file, 0, 0}, kReadOnce);
  checkDescriptors(context, preparation, findings);
  // Plugins and names are looked at even where something else is wrong: the operator wants to hear of it all.
  context.loop.run([&] {
    if (context.loader == nullptr)
      context.loader =
          std::make_unique<plugin::Loader>(context.loop, context.cells, preparation.config.plugin_cache_directory);
    else
      context.loader->setCacheDirectory(preparation.config.plugin_cache_directory);
    context.loader->scan(pluginSearchPath(preparation.config));
  });
  addRemarks(context, preparation, findings);
  const auto names = newNames(preparation.config, running);
  preparation.resolutions = resolveAll(names, context.loop, context.resolver);
  if (running != nullptr) addKnownNames(preparation, *running);
  const auto limit = limitOf(input, preparation.config.preflight, context, running, findings);
  PluginCreation(context, limit, running, preparation, findings).run();
  addNames(preparation, names, findings);
  context.loop.run([&] {
    for (const auto& remark : context.loader->takeRemarks())
      findings.warning({"plugins.cache_directory", 0, 0}, remark);
  });
  warnOfLoops(preparation, findings);
  readTokens(preparation, findings);
  preparation.findings = std::move(findings).take();
  return preparation;
}

void discard(Preparation& preparation, ControlLoop& loop) {
  loop.run([&] {
    preparation.pools.clear();
    preparation.sinks.clear();
  });
}

std::vector<std::string> pluginSearchPath(const config::Config& config) {
  auto directories = config.plugin_directories;
  directories.push_back(installedPluginDirectory());
  return directories;
}

}  // namespace lemonade::app
