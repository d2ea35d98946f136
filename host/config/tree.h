// SPDX-License-Identifier: MIT
//
// TOML as a tree, and the walk over a table that reports every key nobody knows: a typo must not leave a default in
// force. Also the values of variables and of the command line, spelled as the file would have. Any thread.
#pragma once

#include "config/key.h"
#include "config/nearest.h"

#include <toml++/toml.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lemonade::config {

/// The tree of a text; nothing, and it has been reported, where the text is no TOML.
std::optional<toml::table> parseTree(std::string_view text, const std::string& filename, Findings& findings);

/// Where a region of a file begins.
Source sourceOf(const std::string& file, const toml::source_region& region);

/// What a text stands for that comes from a variable or the command line.
std::unique_ptr<toml::node> nodeOf(Form form, const std::string& text);

/// The parts of text between separators, trimmed, without those that are empty.
std::vector<std::string> splitList(const std::string& text, const char* separator);

/// Reads text as the value of key, which findings call path.
template <class Target>
void readText(const Key<Target>& key, const std::string& path, const std::string& text, const Source& source,
              Target& target, Findings& findings) {
  const auto node = nodeOf(key.facts.form, text);
  key.read({path, *node, source, findings}, target);
}

/// A table of a file and what is known of it.
struct Table {
  const std::string& file;
  std::string path;  ///< "proxy", "pools.web.health"
  const toml::table& entries;
  Findings& findings;

  /// True where there are so many findings that one of this entry would be left out; it has been counted.
  bool isLeftOut(const toml::key& name) const;
  /// Reports an entry that is none of the known ones.
  void refuse(const toml::key& name, const std::vector<std::string>& known) const;
};

/// Calls visit(key, path, item) for each entry of the table that is one of `keys` in this section. Other entries go to
/// other(name, node), which returns false for one that nobody knows; it is reported then, and `others` are suggested
/// besides the keys.
template <class Target, class Visit, class Other>
void eachKey(const Table& table, const std::vector<Key<Target>>& keys, const std::string& section,
             const std::vector<std::string>& others, Visit visit, Other other) {
  for (const auto& [name, node] : table.entries) {
    const auto key = std::find_if(keys.begin(), keys.end(), [&, text = name.str()](const Key<Target>& candidate) {
      return candidate.section == section && candidate.name == text;
    });
    if (key != keys.end()) {
      visit(*key, Item{table.path + "." + key->name, node, sourceOf(table.file, node.source()), table.findings});
      continue;
    }
    if (other(name.str(), node) || table.isLeftOut(name)) continue;
    std::vector<std::string> known;
    for (const auto& candidate : keys)
      if (candidate.section == section) known.push_back(candidate.name);
    known.insert(known.end(), others.begin(), others.end());
    table.refuse(name, known);
  }
}

/// The same for a table that has nothing but keys.
template <class Target, class Visit>
void eachKey(const Table& table, const std::vector<Key<Target>>& keys, const std::string& section, Visit visit) {
  eachKey(table, keys, section, {}, visit, [](std::string_view, const toml::node&) { return false; });
}

}  // namespace lemonade::config
