// SPDX-License-Identifier: MIT
//
// TOML as a tree, and the walk over a table that reports every key nobody knows: a typo must not leave a default in
// force. Also the values of variables and of the command line, spelled as the file would have. Any thread.
#pragma once

#include "config/item.h"
#include "config/nearest.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lemonade::config {

/// The tree of a text; nothing, and it has been reported, where the text is no TOML.
std::optional<toml::table> parseTree(std::string_view text, const std::string& filename, Findings& findings);

/// What a text stands for that comes from a variable or the command line: itself, a number where it is one, or a list
/// with commas between its elements.
enum class Form { kText, kNumber, kList };
std::unique_ptr<toml::node> nodeOf(Form form, const std::string& text);

/// The parts of text between separators, trimmed, without those that are empty.
std::vector<std::string> splitList(const std::string& text, const char* separator);

/// Reads text as the value of key.
template <class Target, class Whole>
void readText(const Key<Target, Whole>& key, Form form, const std::string& text, const Source& source, Target& target,
              Findings& findings) {
  const auto node = nodeOf(form, text);
  key.field.read({key.path(), *node, source, findings}, target);
}

/// Calls visit(key, value) for each key of the table that is one of `keys` in this section, and reports the others.
template <class AnyKey, class Visit>
void eachKnownKey(const std::string& file, const std::string& section, const toml::table& table,
                  const std::vector<AnyKey>& keys, Findings& findings, Visit visit) {
  for (const auto& [name, node] : table) {
    const auto key = std::find_if(keys.begin(), keys.end(), [&, text = name.str()](const AnyKey& candidate) {
      return candidate.section == section && candidate.name == text;
    });
    if (key != keys.end()) {
      visit(*key, node);
      continue;
    }
    const auto source = sourceOf(file, name.source());
    if (!findings.wants(source)) {
      findings.skip();
      continue;
    }
    std::vector<std::string> names;
    for (const auto& candidate : keys) {
      if (candidate.section == section) names.push_back(candidate.name);
    }
    const std::string unknown(name.str());
    findings.error(source, "unknown key " + section + "." + unknown + "; " + suggestion(unknown, names));
  }
}

}  // namespace lemonade::config
