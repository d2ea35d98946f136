// SPDX-License-Identifier: MIT
#include "reference.h"

#include "config/duration.h"
#include "config/environment.h"
#include "config/keys.h"

#include <map>
#include <sstream>
#include <utility>
#include <vector>

namespace lemonade::config::test {
namespace {

constexpr std::size_t kCommentColumn = 38;
constexpr std::size_t kWidth = 120;

using Lines = std::vector<std::string>;

/// The default as the column of a table shows it.
template <class Target>
std::string defaultOf(const Key<Target>& key, const Target& defaults) {
  if (!key.facts.fallback.empty()) return key.facts.fallback;
  if (key.facts.type.starts_with("duration"))
    return durationText(parseDuration(key.show(defaults)).value_or(Duration::zero()));
  const auto written = key.written(defaults);
  if (key.facts.type == "number") return key.show(defaults);
  if (written == "[]") return "none";
  return written.starts_with('"') || written.starts_with('[') ? "`" + written + "`" : written;
}

std::string row(const Lines& columns) {
  std::string text = "|";
  for (const auto& column : columns) text += (column.empty() ? "" : " " + column) + " |";
  return text;
}

template <class Target>
std::string rowOf(const Key<Target>& key, const std::string& fallback, const std::string& effect) {
  return row({"`" + key.name + "`", key.facts.type, fallback, key.facts.range, effect});
}

template <class Target>
Lines rowsOf(const std::vector<Key<Target>>& keys, const std::string& section, const Target& defaults) {
  Lines rows;
  for (const auto& key : keys)
    if (key.section == section) rows.push_back(rowOf(key, defaultOf(key, defaults), key.facts.effect));
  return rows;
}

/// Keys that are also those of a default: what they are and do stands there.
template <class Target>
Lines rowsOfInheritors(const std::vector<Key<Target>>& keys, const std::string& section) {
  Lines rows;
  for (const auto& key : keys) {
    if (key.section != section) continue;
    if (key.name == "address")
      rows.push_back(rowOf(key, "required", key.facts.effect));
    else
      rows.push_back(rowOf(key, "`proxy." + key.name + "`", "as there"));
  }
  return rows;
}

/// The rows of each table by the heading above it.
std::map<std::string, Lines> tables() {
  std::map<std::string, Lines> all;
  const auto defaults = defaultConfig();
  for (const auto& key : configKeys())
    if (auto& rows = all["### [" + key.section + "]"]; rows.empty()) rows = rowsOf(configKeys(), key.section, defaults);
  all["### [[backends]]"] = rowsOf(backendKeys(), "", Backend{});
  auto& listeners = all["### [[listeners]]"] = rowsOfInheritors(listenerKeys(), "");
  listeners.insert(listeners.begin(), row({"`name`", "string", "required", "unique; a-z, 0-9, `.`, `_`, `-`, up to 64",
                                           "what logs, metrics and status call it"}));
  all["### [pools.NAME]"] = rowsOfInheritors(poolKeys(), "");
  for (const auto& variable : variables())
    all["## Environment"].push_back(row({"`" + variable.name + "`", variable.effect}));
  return all;
}

Lines linesOf(const std::string& text) {
  Lines lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

/// A line of a file with its comment, which goes on below itself where it is long.
void addLine(std::string& text, const std::string& said, const std::string& comment) {
  std::string line = said + std::string(said.size() < kCommentColumn ? kCommentColumn - said.size() : 1, ' ') + "#";
  std::istringstream words(comment);
  for (std::string word; words >> word;) {
    if (line.size() + 1 + word.size() > kWidth) {
      text += line + "\n";
      line = std::string(kCommentColumn, ' ') + "#";
    }
    line += " " + word;
  }
  text += line + "\n";
}

template <class Target>
std::string fileLines(const std::vector<Key<Target>>& keys, const std::string& section, const Target& defaults) {
  std::string text;
  for (const auto& key : keys) {
    if (key.section != section || key.facts.type.starts_with("table")) continue;
    const auto& example = key.facts.example;
    addLine(text, key.name + " = " + (example.empty() ? key.written(defaults) : example), key.facts.brief);
  }
  return text;
}

/// The lines of each section by its header.
std::map<std::string, std::string> sections() {
  std::map<std::string, std::string> all;
  const auto defaults = defaultConfig();
  for (const auto& key : configKeys()) all["[" + key.section + "]"] = fileLines(configKeys(), key.section, defaults);
  all["[[backends]]"] = fileLines(backendKeys(), "", Backend{});
  return all;
}

}  // namespace

std::string withTables(const std::string& page) {
  const auto all = tables();
  std::string text;
  const Lines* rows = nullptr;  // of the table that comes next
  bool inside = false;          // its old rows
  for (const auto& line : linesOf(page)) {
    if (line.starts_with("## ") || line.starts_with("### ")) {
      const auto found = all.find(line);
      rows = found == all.end() ? nullptr : &found->second;
    }
    inside = inside && line.starts_with('|');
    if (inside) continue;
    text += line + "\n";
    if (rows == nullptr || !line.starts_with("|---")) continue;
    for (const auto& one : *std::exchange(rows, nullptr)) text += one + "\n";
    inside = true;
  }
  return text;
}

std::string withLines(const std::string& file) {
  const auto all = sections();
  std::string text;
  bool inside = false;  // the old lines of a section
  for (const auto& line : linesOf(file)) {
    inside = inside && !line.empty();
    if (inside) continue;
    text += line + "\n";
    const auto found = all.find(line.substr(0, line.find(' ')));
    if (found == all.end()) continue;
    text += found->second;
    inside = true;
  }
  return text;
}

}  // namespace lemonade::config::test
