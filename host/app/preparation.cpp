// SPDX-License-Identifier: MIT
#include "app/preparation.h"

#include "app/descriptor_findings.h"
#include "app/endpoints.h"
#include "app/own_listeners.h"
#include "app/plugin_creation.h"
#include "app/plugin_paths.h"
#include "kernel/build.h"
#include "kernel/exchange_times.h"
#include "plugin/containment.h"
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

/// A program that was built without it cannot have the kernel forward, whatever the machine can.
void checkForwarding(const Preparation& preparation, config::Findings& findings) {
  const auto built = kernel::checkBuild();
  for (const auto& listener : preparation.config.listeners)
    if (!built && listener.forward == config::Forward::kKernel)
      findings.error(listener.source, "forward = \"kernel\": " + built.error().message);
  const auto& listeners = preparation.config.listeners;
  const auto first = std::find_if(listeners.begin(), listeners.end(),
                                  [](const auto& listener) { return listener.forward == config::Forward::kKernel; });
  const auto timed = kernel::ExchangeTimes::checkBuild();
  if (built && !timed && first != listeners.end() && preparation.config.kernel.exchanges == config::Exchanges::kOn)
    findings.error(first->source, "kernel.exchanges = \"on\": " + timed.error().message);
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
    "only at plugins and names; give a file to change more";

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
  const bool readable = loaded.ok();
  preparation.config = std::move(loaded.config);
  if (running == nullptr) contain(preparation.config);
  preparation.seen.plugins = lookAtPlugins(pluginSearchPath(preparation.config));
  findings.add(std::move(loaded.findings));
  if (running != nullptr && !file.again) findings.warning({*input.file, 0, 0}, kReadOnce);
  if (readable) checkDescriptors(context, preparation, findings);  // else its limits may not be those of the file
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
  createPlugins(context, limit, running, preparation, findings);
  addNames(preparation, names, findings);
  context.loop.run([&] {
    for (const auto& remark : context.loader->takeRemarks())
      findings.warning({"plugins.cache_directory", 0, 0}, remark);
  });
  warnOfLoops(preparation, findings);
  checkForwarding(preparation, findings);
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
