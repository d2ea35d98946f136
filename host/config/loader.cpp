// SPDX-License-Identifier: MIT
#include "config/loader.h"

#include "base/fd.h"
#include "config/check.h"
#include "config/nearest.h"

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

/// Puts the tree of a file into a draft. Keys that are not known are errors: a typo must not leave a default in force.
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
      } else if (const auto sections = sectionNames(); std::find(sections.begin(), sections.end(), name) == sections.end()) {
        refuseSection(name, sourceOf(file_, key.source()), sections);
      } else if (const auto* table = node.as_table()) {
        readTable(name, *table, configKeys(), [this](const auto& known, const auto& value) { readKey(known, value); });
      } else {
        findings_.error(at(node), name + " is a table; write [" + name + "]");
      }
    }
  }

 private:
  Source at(const toml::node& node) const { return sourceOf(file_, node.source()); }

  void readKey(const Key<Draft>& key, const toml::node& node) {
    key.read({key.path(), node, at(node), findings_}, draft_);
    draft_.said[key.path()] = at(node);
  }

  /// Calls visit(key, value) for the keys of the table that are known, and reports the others.
  template <class Target, class Visit>
  void readTable(const std::string& section, const toml::table& table, const std::vector<Key<Target>>& keys,
                 Visit visit) {
    for (const auto& [name, node] : table) {
      const auto key = std::find_if(keys.begin(), keys.end(), [&, text = name.str()](const Key<Target>& candidate) {
        return candidate.section == section && candidate.name == text;
      });
      if (key != keys.end()) {
        visit(*key, node);
        continue;
      }
      std::vector<std::string> names;
      for (const auto& candidate : keys) {
        if (candidate.section == section) names.push_back(candidate.name);
      }
      findings_.error(sourceOf(file_, name.source()), "unknown key " + section + "." + std::string(name.str()) + "; " +
                                                          suggestion(name.str(), names));
    }
  }

  /// A key of some table that stands outside of it is told where it belongs.
  void refuseSection(const std::string& name, const Source& source, const std::vector<std::string>& sections) {
    std::string mend;
    for (const auto& key : configKeys()) {
      if (key.name == name) mend += (mend.empty() ? "it belongs under [" : " or [") + key.section + "]";
    }
    findings_.error(source, "unknown key " + name + "; " + (mend.empty() ? suggestion(name, sections) : mend));
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
    readTable("backends", table, backendKeys(), [&](const Key<Backend>& key, const toml::node& value) {
      key.read({key.path(), value, at(value), findings_}, backend);
    });
    if (!table.contains("address")) findings_.error(backend.source, "a backend has no address; give \"host:port\"");
    draft_.config.backends.push_back(std::move(backend));
  }

  const std::string& file_;
  Draft& draft_;
  Findings& findings_;
};

/// False where the text is no TOML, and nothing of it was read.
bool readText(std::string_view text, const std::string& filename, Draft& draft, Findings& findings) {
  draft.config.file = filename;
  draft.directory = std::filesystem::path(filename).parent_path();
  try {
    TreeReader(filename, draft, findings).read(toml::parse(text, filename));
    return true;
  } catch (const toml::parse_error& error) {
    findings.error(sourceOf(filename, error.source()), "no valid TOML: " + std::string(error.description()));
    return false;
  }
}

Loaded finish(const Input& input, Draft draft, Findings findings) {
  readEnvironment(input.environment, draft, findings);
  auto& directories = draft.config.plugin_directories;
  directories.insert(directories.begin(), input.plugin_dirs.begin(), input.plugin_dirs.end());
  completeAndCheck(draft, findings);
  return {std::move(draft.config), std::move(findings).take()};
}

}  // namespace

bool Loaded::ok() const noexcept {
  return std::none_of(findings.begin(), findings.end(),
                      [](const Finding& finding) { return finding.severity == Severity::kError; });
}

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
  if (!readText(text, filename, draft, findings)) return {defaultConfig(), std::move(findings).take()};
  return finish(input, std::move(draft), std::move(findings));
}

}  // namespace lemonade::config
