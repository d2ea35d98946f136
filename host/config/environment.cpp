// SPDX-License-Identifier: MIT
#include "config/environment.h"

#include "config/tree.h"

#include <unistd.h>

namespace lemonade::config {
namespace {

constexpr std::string_view kPrefix = "LEMONADE_LB_";
constexpr const char* kBackendAddresses = "LEMONADE_LB_BACKEND_ADDRESSES";
constexpr const char* kAdminAddress = "LEMONADE_LB_ADMIN_ADDRESS";
constexpr const char* kPluginDirs = "LEMONADE_LB_PLUGIN_DIRS";
constexpr const char* kLog = "LEMONADE_LOG";
constexpr const char* kRustLog = "RUST_LOG";

/// A variable that stands for the key of a table.
struct Variable {
  const char* name;
  const char* path;
  Form form;
};

constexpr Variable kVariables[] = {
    {"LEMONADE_LB_LISTEN_ADDRESS", "proxy.listen_address", Form::kList},
    {"LEMONADE_LB_STRATEGY", "strategy.algorithm", Form::kText},
    {"LEMONADE_LB_MAX_CONNECTIONS", "proxy.max_connections", Form::kNumber},
    {"LEMONADE_LB_SUPERVISOR", "runtime.supervisor", Form::kText},
    {"LEMONADE_LB_RELAY", "proxy.relay", Form::kText},
    {"LEMONADE_LB_METRICS_CAP", "runtime.metrics_cap", Form::kNumber},
    {"LEMONADE_LB_HEALTH_CAP", "runtime.health_cap", Form::kNumber},
    {"LEMONADE_LB_GRACE_MS", "runtime.grace_millis", Form::kNumber},
    {"LEMONADE_LB_DRAIN_TIMEOUT_MS", "runtime.drain_timeout_millis", Form::kNumber},
    {"LEMONADE_LB_BACKGROUND_TIMEOUT_MS", "runtime.background_timeout_millis", Form::kNumber},
    {"LEMONADE_LB_ACCEPT_TIMEOUT_MS", "runtime.accept_timeout_millis", Form::kNumber},
    {"LEMONADE_LB_HEALTH_INTERVAL_MS", "health.interval", Form::kNumber},
    {"LEMONADE_LB_HEALTH_TIMEOUT_MS", "health.timeout", Form::kNumber},
    {"LEMONADE_LB_METRICS_INTERVAL_MS", "metrics.interval", Form::kNumber},
    {"LEMONADE_LB_CONFIG_WATCH_INTERVAL_MS", "runtime.config_watch_interval_millis", Form::kNumber},
    {kAdminAddress, "admin.listen_address", Form::kText},
    {"LEMONADE_LB_ADMIN_HOSTS", "admin.hosts", Form::kList},
    {kLog, "log.level", Form::kText},
    {"LEMONADE_LOG_FORMAT", "log.format", Form::kText},
};

void readVariable(const Variable& variable, const std::string& text, Draft& draft, Findings& findings) {
  const Source source{variable.name, 0, 0};
  readText(configKey(variable.path), variable.form, text, source, draft, findings);
  draft.said[variable.path] = source;
}

/// Options in the file are those of the algorithm in the file.
void readStrategy(const Variable& variable, const std::string& text, Draft& draft, Findings& findings) {
  auto& strategy = draft.config.pools.front().strategy;
  const auto before = strategy.id;
  readVariable(variable, text, draft, findings);
  if (strategy.id == before || strategy.options.empty()) return;
  findings.warning({variable.name, 0, 0},
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
    for (const auto& key : backendKeys()) {
      if (key.name == "address") readText(key, Form::kText, address, source, backend, findings);
    }
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

std::vector<std::string> knownVariables() {
  std::vector<std::string> names{kBackendAddresses, kPluginDirs, kRustLog};
  for (const auto& variable : kVariables) names.emplace_back(variable.name);
  return names;
}

void readEnvironment(const Environment& environment, Draft& draft, Findings& findings) {
  const auto get = [&environment](std::string_view name) -> const std::string* {
    const auto found = environment.find(name);
    return found != environment.end() && (!found->second.empty() || name == kAdminAddress) ? &found->second : nullptr;
  };
  for (const auto& variable : kVariables) {
    const auto* text = get(variable.name);
    if (text == nullptr) continue;
    const bool strategy = std::string_view(variable.path) == "strategy.algorithm";
    (strategy ? readStrategy : readVariable)(variable, *text, draft, findings);
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
