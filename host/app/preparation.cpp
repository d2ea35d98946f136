// SPDX-License-Identifier: MIT
#include "app/preparation.h"

#include "app/difference.h"
#include "app/plugin_paths.h"

#include <sched.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <set>

namespace lemonade::app {

namespace {

using namespace std::chrono_literals;
constexpr auto kResolveWait = 5s;

/// Asks for all names at once and waits for the answers; a name that has none by then counts as not learnt.
Resolutions resolveAll(const std::vector<config::Backend>& backends, ControlLoop& loop, Resolver& resolver) {
  struct Answers {
    std::mutex mutex;
    std::condition_variable arrived;
    Resolutions resolutions;
  };
  // Shared with the callbacks: one that comes late finds it still there.
  const auto answers = std::make_shared<Answers>();
  std::set<std::string> hosts;
  for (const auto& backend : backends) hosts.insert(backend.host);
  loop.run([&] {
    for (const auto& host : hosts)
      resolver.resolve(host, 0, [answers, host](const Resolution& resolution) {
        const std::lock_guard lock(answers->mutex);
        answers->resolutions[host] = resolution;
        answers->arrived.notify_one();
      });
  });
  std::unique_lock lock(answers->mutex);
  answers->arrived.wait_for(lock, kResolveWait, [&] { return answers->resolutions.size() == hosts.size(); });
  for (const auto& host : hosts)
    answers->resolutions.try_emplace(host, Resolution{Resolution::Outcome::kTemporary, {}, host + " has not resolved yet"});
  return answers->resolutions;
}

/// Whether a plugin runs as it is asked for, from a file whose content is still the same.
class Stays {
 public:
  Stays(const Running* running, const plugin::Catalog& catalog) : running_(running), catalog_(catalog) {}

  bool strategy(const config::PluginChoice& choice) const {
    return running_ != nullptr && same(choice, running_->config.strategy, running_->strategy_hash);
  }
  bool checker(const config::PluginChoice& choice) const {
    return running_ != nullptr && same(choice, running_->config.health.checker, running_->checker_hash);
  }
  bool sink(const config::PluginChoice& choice) const {
    if (running_ == nullptr) return false;
    const auto hash = running_->sink_hashes.find(choice.id);
    return hash != running_->sink_hashes.end() &&
           std::any_of(running_->config.metrics.sinks.begin(), running_->config.metrics.sinks.end(),
                       [&](const auto& before) { return same(choice, before, hash->second); });
  }

 private:
  bool same(const config::PluginChoice& asked, const config::PluginChoice& runs, const std::string& hash) const {
    const auto found = catalog_.plugins.find(asked.id);
    return found != catalog_.plugins.end() && found->second.hash == hash && sameChoice(asked, runs);
  }

  const Running* running_;
  const plugin::Catalog& catalog_;
};

void createPlugins(Preparation& preparation, plugin::Loader& loader, const Running* running,
                   config::Findings& findings) {
  for (const auto& remark : loader.catalog().remarks) findings.warning({"plugins", 0, 0}, remark);
  std::vector<plugin::OptionProblem> problems;
  const auto& config = preparation.config;
  const Stays stays(running, loader.catalog());
  if (!stays.strategy(config.strategy))
    if (auto strategy = loader.strategy(config.strategy, problems)) preparation.strategy.emplace(std::move(*strategy));
  if (!stays.checker(config.health.checker))
    if (auto checker = loader.checker(config.health.checker, problems))
      preparation.checker.emplace(std::move(*checker));
  for (const auto& choice : config.metrics.sinks)
    if (!stays.sink(choice))
      if (auto sink = loader.sink(choice, problems)) preparation.sinks.push_back(std::move(*sink));
  for (auto& problem : problems) findings.error(std::move(problem.source), std::move(problem.text));
}

}  // namespace

bool Preparation::ok() const noexcept {
  return std::none_of(findings.begin(), findings.end(),
                      [](const auto& finding) { return finding.severity == config::Severity::kError; });
}

Preparation prepare(const config::Input& input, Workshop& workshop, const Running* running) {
  Preparation preparation;
  config::Findings findings;
  auto loaded = config::load(input);
  preparation.config = std::move(loaded.config);
  for (auto& finding : loaded.findings)
    finding.severity == config::Severity::kError ? findings.error(finding.source, finding.text)
                                                 : findings.warning(finding.source, finding.text);
  // Plugins and names are looked at even where something else is wrong: the operator wants to hear of it all.
  workshop.loop.run([&] {
    auto& loader = workshop.loader;
    if (loader == nullptr)
      loader = std::make_unique<plugin::Loader>(workshop.loop, workshop.cells,
                                                preparation.config.plugin_cache_directory);
    loader->scan(pluginSearchPath(preparation.config));
    createPlugins(preparation, *loader, running, findings);
  });
  preparation.resolutions = resolveAll(preparation.config.backends, workshop.loop, workshop.resolver);
  for (const auto& backend : preparation.config.backends)
    if (const auto& resolution = preparation.resolutions.at(backend.host); !resolution.ok())
      findings.warning(backend.address_source, resolution.error + "; backend " + backend.id +
                                                   " starts down and its name is tried again");
  preparation.findings = std::move(findings).take();
  return preparation;
}

void discard(Preparation& preparation, ControlLoop& loop) {
  loop.run([&] {
    preparation.strategy.reset();
    preparation.checker.reset();
    preparation.sinks.clear();
  });
}

std::vector<std::string> pluginSearchPath(const config::Config& config) {
  auto directories = config.plugin_directories;
  directories.push_back(installedPluginDirectory());
  return directories;
}

std::uint32_t workerCount(const config::Config& config) {
  if (config.runtime.workers != 0) return config.runtime.workers;
  cpu_set_t usable;
  CPU_ZERO(&usable);
  if (::sched_getaffinity(0, sizeof(usable), &usable) != 0) return 1;
  return static_cast<std::uint32_t>(std::max(1, CPU_COUNT(&usable)));
}

}  // namespace lemonade::app
