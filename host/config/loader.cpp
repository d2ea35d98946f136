// SPDX-License-Identifier: MIT
#include "config/loader.h"

#include "base/patient_memory.h"
#include "config/check.h"
#include "config/file.h"
#include "config/tree.h"

#include <algorithm>

namespace lemonade::config {
namespace {

void addOnce(std::vector<std::string>& words, const std::string& word) {
  if (std::find(words.begin(), words.end(), word) == words.end()) words.push_back(word);
}

std::vector<std::string> sectionNames() {
  std::vector<std::string> names;
  for (const auto& key : configKeys()) addOnce(names, key.section);
  names.emplace_back("backends");
  return names;
}

/// Puts the tree of a file into a draft.
class TreeReader {
 public:
  TreeReader(const std::string& file, Draft& draft, Findings& findings)
      : file_(file), draft_(draft), findings_(findings) {}

  void read(const toml::table& root) {
    for (const auto& [key, node] : root) {
      const std::string name(key.str());
      if (name == "backends") {
        readBackends(node);
      } else if (name == "strategy" && node.is_string()) {
        readKey(configKey("strategy.algorithm"), node);
      } else if (std::find(sections_.begin(), sections_.end(), name) == sections_.end()) {
        refuseSection(name, sourceOf(file_, key.source()));
      } else if (const auto* table = node.as_table()) {
        eachKnownKey(file_, name, *table, configKeys(), findings_,
                     [this](const auto& known, const auto& value) { readKey(known, value); });
      } else {
        findings_.error(at(node), name + " is a table; write [" + name + "]");
      }
    }
  }

 private:
  Source at(const toml::node& node) const { return sourceOf(file_, node.source()); }

  void readKey(const ConfigKey& key, const toml::node& node) {
    key.field.read({key.path(), node, at(node), findings_}, draft_);
    draft_.said[key.path()] = at(node);
  }

  /// A key of some table that stands outside of it is told where it belongs.
  void refuseSection(const std::string& name, const Source& source) {
    if (!findings_.wants(source)) return findings_.skip();
    std::string mend;
    for (const auto& key : configKeys()) {
      if (key.name == name) mend += (mend.empty() ? "it belongs under [" : " or [") + key.section + "]";
    }
    findings_.error(source, "unknown key " + name + "; " + (mend.empty() ? suggestion(name, sections_) : mend));
  }

  void readBackends(const toml::node& node) {
    draft_.said["backends"] = at(node);
    const auto* list = node.as_array();
    if (list == nullptr) return findings_.error(at(node), "backends is a list of tables; write [[backends]]");
    for (const auto& element : *list) {
      if (const auto* table = element.as_table()) {
        readBackend(*table);
      } else {
        findings_.error(at(element), "a backend is a table; write [[backends]]");
      }
    }
  }

  void readBackend(const toml::table& table) {
    Backend backend;
    backend.source = backend.address_source = at(table);
    eachKnownKey(file_, "backends", table, backendKeys(), findings_, [&](const auto& key, const auto& value) {
      key.field.read({key.path(), value, at(value), findings_}, backend);
    });
    if (!table.contains("address")) findings_.error(backend.source, "a backend has no address; give \"host:port\"");
    draft_.config.pools.front().backends.push_back(std::move(backend));
  }

  const std::string& file_;
  const std::vector<std::string> sections_ = sectionNames();
  Draft& draft_;
  Findings& findings_;
};

Loaded finish(const Input& input, Draft draft, Findings findings) {
  readEnvironment(input.environment, draft, findings);
  auto& directories = draft.config.plugin_directories;
  directories.insert(directories.begin(), input.plugin_dirs.begin(), input.plugin_dirs.end());
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
  draft.directory = std::filesystem::path(filename).parent_path();
  TreeReader(filename, draft, findings).read(*root);
  return finish(input, std::move(draft), std::move(findings));
}

}  // namespace lemonade::config
