// SPDX-License-Identifier: MIT
#include "config/mend.h"

#include <algorithm>
#include <array>

namespace lemonade::config {
namespace {

constexpr std::size_t kLongestValue = 80;

std::string_view lineOf(std::string_view text, std::uint32_t line) {
  for (std::uint32_t i = 1; i < line; ++i) {
    const auto end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find('\n'));
}

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

/// What the parser said of a kind of mistake, and its mend; the first that fits counts.
struct Rule {
  std::string_view said;
  std::string_view mend;
};

constexpr std::array kRules = {
    Rule{"unknown escape", "a backslash in \"...\" begins an escape; write it twice, or use '...'"},
    Rule{"parsing string: ", "a text is not closed on its line; end it with the quote it begins with"},
    Rule{"parsing literal string: ", "a text is not closed on its line; end it with the quote it begins with"},
    Rule{"parsing key: ", "write key = value, the key in letters, digits, - and _"},
    Rule{"table header: cannot redefine",
         "this table is there already; write its keys under the first one, or [[backends]] for each backend"},
    Rule{"cannot redefine existing table", "this table is there already; write its keys under the first one"},
    Rule{"cannot redefine", "this key is there already; keep one of them"},
    Rule{"parsing table header: ",
         "a header stands alone on its line and closes as it opens: [section] or [[backends]]"},
    Rule{"parsing inline table: ",
         "{...} stands on one line, with commas between its keys; write a [section] for more"},
    Rule{"parsing array: ", "a list ends with ] and has commas between its elements"},
    Rule{"expected '='", "write key = value"},
    Rule{"expected value", "give a value behind the ="},
    Rule{"leading zeroes", "leave out the zeros at the beginning of a number"},
    Rule{"parsing boolean: ", "write true or false, in lower case"},
};

bool isQuoted(std::string_view value) { return value.starts_with('"') || value.starts_with('\''); }

/// The value in quotes, where a line is a key with one that lacks them; else "".
std::string quotesFor(std::string_view line, std::string_view description) {
  const auto equals = line.find('=');
  const auto said = [description](std::string_view words) { return description.find(words) != std::string_view::npos; };
  if (equals == std::string_view::npos || said("leading zeroes") || said("redefine") || said("parsing array") ||
      said("parsing inline table"))
    return {};
  const auto key = trimmed(line.substr(0, equals));
  auto value = line.substr(equals + 1);
  value = trimmed(value.substr(0, value.find('#')));
  const bool list = value.starts_with('[') || value.starts_with('{');
  if (key.empty() || value.empty() || list || isQuoted(value) || value.size() > kLongestValue) return {};
  if (value == "True" || value == "False" || value == "TRUE" || value == "FALSE") return {};
  if (value.find_first_of("\"'") != std::string_view::npos) return {};
  if (value.starts_with("\u201c") || value.starts_with("\u201e") || value.starts_with("\u2018"))
    return "use straight quotes: \"...\"";
  const bool one_word = value.find(' ') == std::string_view::npos;
  if (!one_word) return {};
  return "put a text into quotes: " + std::string(key) + " = \"" + std::string(value) + "\"";
}

std::string mendOf(std::string_view line, std::uint32_t column, std::string_view description) {
  const auto rest = column >= 1 && column <= line.size() ? line.substr(column - 1) : std::string_view();
  if (rest.starts_with(';') || rest.starts_with("//") || trimmed(line).starts_with(';'))
    return "a comment begins with #, and nothing stands behind a value";
  if (auto quotes = quotesFor(line, description); !quotes.empty()) return quotes;
  const auto found = std::find_if(kRules.begin(), kRules.end(), [&](const Rule& rule) {
    return description.find(rule.said) != std::string_view::npos;
  });
  if (found != kRules.end()) return std::string(found->mend);
  if (description.find("parsing key-value pair") != std::string_view::npos)
    return "write one key = value on a line, and # before a comment";
  return {};
}

}  // namespace

std::string syntaxError(std::string_view text, std::uint32_t line, std::uint32_t column, std::string_view description) {
  const auto mend = mendOf(lineOf(text, line), column, description);
  constexpr std::string_view kPrefix = "Error while ";
  if (description.starts_with(kPrefix)) description.remove_prefix(kPrefix.size());
  if (mend.empty()) return "no valid TOML: " + std::string(description);
  return "no valid TOML: " + mend + " (" + std::string(description) + ")";
}

}  // namespace lemonade::config
