// SPDX-License-Identifier: MIT
#include "config/loader.h"

#include "base/patient_memory.h"
#include "config/check.h"
#include "config/file.h"
#include "config/file_reader.h"
#include "config/tree.h"

#include <filesystem>
#include <utility>

namespace lemonade::config {
namespace {

/// The default listener exists where it was given an address or no other is there, the default pool where it was given
/// backends or no other is there.
void dropUnusedDefaults(Draft& draft) {
  auto& listeners = draft.config.listeners;
  auto& pools = draft.config.pools;
  if (listeners.size() > 1 && !draft.said.contains("proxy.listen_address")) listeners.erase(listeners.begin());
  if (pools.size() > 1 && !draft.said.contains("backends")) pools.erase(pools.begin());
}

/// What the file says is relative to the file by now; what is left is of the environment and of the command line.
void resolvePaths(Config& config, const std::string& folder) {
  if (folder.empty()) return;
  const auto resolve = [&folder](std::string& path) { path = (std::filesystem::path(folder) / path).string(); };
  for (auto& path : config.plugin_directories) resolve(path);
  for (auto* path : {&config.plugin_cache_directory, &config.admin_access.token_file})
    if (!path->empty()) resolve(*path);
}

Loaded finish(const Input& input, Draft draft, Findings findings) {
  readEnvironment(input.environment, draft, findings);
  auto& directories = draft.config.plugin_directories;
  directories.insert(directories.begin(), input.plugin_dirs.begin(), input.plugin_dirs.end());
  resolvePaths(draft.config, input.folder);
  dropUnusedDefaults(draft);
  completeAndCheck(draft, findings);
  return {std::move(draft.config), std::move(findings).take()};
}

}  // namespace

Loaded load(const Input& input) {
  if (!input.file) return load(input, std::string());
  auto content = readContent(*input.file, Streams::kRead);
  if (!content) return load(input, std::move(content).error());
  return load(input, std::move(content).value().text);
}

Loaded load(const Input& input, const Result<std::string>& content) {
  const PatientMemory for_toml;
  if (!input.file) return finish(input, {}, {});
  if (content.ok()) return parse(content.value(), *input.file, input);
  Findings findings;
  findings.error({*input.file, 0, 0}, content.error().message);
  return {defaultConfig(), std::move(findings).take()};
}

Loaded parse(std::string_view text, const std::string& filename, const Input& input) {
  const PatientMemory for_toml;  // some of its functions promise not to throw, and allocate
  Draft draft;
  Findings findings;
  const auto root = parseTree(text, filename, findings);
  if (!root) return {defaultConfig(), std::move(findings).take()};
  draft.config.file = filename;
  readFile(*root, filename, draft, findings);
  return finish(input, std::move(draft), std::move(findings));
}

}  // namespace lemonade::config
