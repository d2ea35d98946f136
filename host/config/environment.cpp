// SPDX-License-Identifier: MIT
#include "config/environment.h"

#include "config/keys.h"
#include "config/tree.h"

#include <unistd.h>

#include <algorithm>
#include <iterator>

namespace lemonade::config {
namespace {

constexpr std::string_view kPrefix = "LEMONADE_LB_";
constexpr const char* kBackendAddresses = "LEMONADE_LB_BACKEND_ADDRESSES";
constexpr const char* kAdminAddress = "LEMONADE_LB_ADMIN_ADDRESS";  // which, as the next, means off where it is empty
constexpr const char* kAdminSocket = "LEMONADE_LB_ADMIN_SOCKET";
constexpr const char* kPluginDirs = "LEMONADE_LB_PLUGIN_DIRS";
constexpr const char* kLog = "LEMONADE_LOG";
constexpr const char* kRustLog = "RUST_LOG";

/// The variables that stand for no key, or for one that another variable stands for.
const Variable kOthers[] = {
    {kBackendAddresses, "replaces all backends of the pool default; separated by commas, ids are 0, 1, 2 and so on"},
    {kPluginDirs, "searched before `plugins.directories`; separated by colons"},
    {kRustLog, "`log.level`, where `LEMONADE_LOG` is unset; what cannot be read in it is passed over with a warning"},
};

void readVariable(const Key<Config>& key, const std::string& text, Draft& draft, Findings& findings) {
  const Source source{key.facts.variable, 0, 0};
  readText(key, key.path(), text, source, draft.config, findings);
  draft.said[key.path()] = source;
}

/// Options in the file are those of the algorithm in the file.
void readStrategy(const Key<Config>& key, const std::string& text, Draft& draft, Findings& findings) {
  auto& strategy = draft.config.pools.front().strategy;
  const auto before = strategy.id;
  readVariable(key, text, draft, findings);
  if (strategy.id == before || strategy.options.empty()) return;
  findings.warning({key.facts.variable, 0, 0},
                   "strategy.options are those of " + before + " and go unused with " + strategy.id);
  strategy.options.clear();
}

void readBackends(const std::string& text, Draft& draft, Findings& findings) {
  const Source source{kBackendAddresses, 0, 0};
  std::vector<Backend> backends;
  for (const auto& address : splitList(text, ",")) {
    Backend backend;
    backend.id = backend.name = std::to_string(backends.size());
    backend.source = source;
    for (const auto& key : backendKeys())
      if (key.name == "address") readText(key, "backends.address", address, source, backend, findings);
    backends.push_back(std::move(backend));
  }
  draft.config.pools.front().backends = std::move(backends);
  draft.said["backends"] = source;
}

/// Levels of RUST_LOG may be meant for another program: those that cannot be read are passed over.
void readRustLog(const std::string& text, Draft& draft, Findings& findings) {
  auto levels = log::parseLevels(text);
  if (levels.ok()) {
    draft.config.log_levels = std::move(levels).value();
  } else {
    findings.warning({kRustLog, 0, 0}, levels.error().message + "; the variable is ignored");
  }
}

void warnOfUnknown(const Environment& environment, Findings& findings) {
  const auto known = knownVariables();
  for (auto variable = environment.lower_bound(kPrefix);
       variable != environment.end() && variable->first.starts_with(kPrefix); ++variable) {
    if (std::find(known.begin(), known.end(), variable->first) == known.end()) {
      findings.warning({variable->first, 0, 0}, "unknown variable; " + suggestion(variable->first, known));
    }
  }
}

}  // namespace

Environment processEnvironment() {
  Environment environment;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const auto equals = text.find('=');
    if (equals != std::string_view::npos) environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return environment;
}

std::vector<Variable> variables() {
  std::vector<Variable> all;
  for (const auto& key : configKeys()) {
    const auto& facts = key.facts;
    if (facts.variable.empty()) continue;
    all.push_back(
        {facts.variable, "`" + key.path() + "`" + (facts.of_variable.empty() ? "" : "; " + facts.of_variable)});
  }
  all.insert(all.end(), std::begin(kOthers), std::end(kOthers));
  return all;
}

std::vector<std::string> knownVariables() {
  std::vector<std::string> names;
  for (const auto& variable : variables()) names.push_back(variable.name);
  return names;
}

void readEnvironment(const Environment& environment, Draft& draft, Findings& findings) {
  const auto get = [&environment](std::string_view name) -> const std::string* {
    const auto found = environment.find(name);
    const bool may_be_empty = name == kAdminAddress || name == kAdminSocket;
    return found != environment.end() && (!found->second.empty() || may_be_empty) ? &found->second : nullptr;
  };
  for (const auto& key : configKeys()) {
    if (key.facts.variable.empty()) continue;
    const auto* text = get(key.facts.variable);
    if (text == nullptr) continue;
    (key.path() == "strategy.algorithm" ? readStrategy : readVariable)(key, *text, draft, findings);
  }
  if (const auto* text = get(kBackendAddresses)) readBackends(*text, draft, findings);
  if (const auto* text = get(kPluginDirs)) {
    const auto directories = splitList(*text, ":");
    draft.config.plugin_directories.insert(draft.config.plugin_directories.begin(), directories.begin(),
                                           directories.end());
  }
  if (get(kLog) == nullptr && get(kRustLog) != nullptr) readRustLog(*get(kRustLog), draft, findings);
  warnOfUnknown(environment, findings);
}

}  // namespace lemonade::config
