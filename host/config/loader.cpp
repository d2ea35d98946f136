// SPDX-License-Identifier: MIT
#include "config/loader.h"

#include "base/fd.h"
#include "config/check.h"
#include "config/tree.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

namespace lemonade::config {
namespace {

constexpr std::size_t kLargestFile = 16 << 20;

Error systemError(const std::string& what) { return {what + ": " + std::generic_category().message(errno)}; }

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
    draft_.config.backends.push_back(std::move(backend));
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

Result<std::string> readFile(const std::string& path) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return systemError("cannot be opened");
  struct stat status;
  if (::fstat(file.get(), &status) != 0) return systemError("cannot be examined");
  if (S_ISDIR(status.st_mode)) return Error{"is a directory; give the configuration file in it"};
  std::string text;
  std::array<char, 65'536> buffer;
  for (;;) {
    const auto size = ::read(file.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return systemError("cannot be read");
    if (size == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(size));
    if (text.size() > kLargestFile) return Error{"is larger than 16 MiB; give a configuration file"};
  }
}

Loaded load(const Input& input) {
  if (!input.file) return finish(input, {}, {});
  const auto text = readFile(*input.file);
  if (text.ok()) return parse(text.value(), *input.file, input);
  Findings findings;
  findings.error({*input.file, 0, 0}, text.error().message);
  return {defaultConfig(), std::move(findings).take()};
}

Loaded parse(std::string_view text, const std::string& filename, const Input& input) {
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
