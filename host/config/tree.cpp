// SPDX-License-Identifier: MIT
#include "config/tree.h"

#include "config/mend.h"
#include "config/shape.h"

#include <Poco/StringTokenizer.h>

#include <charconv>
#include <cstddef>
#include <new>

namespace lemonade::config {

namespace {

/// toml++ ends the process where it finds no memory. Throws std::bad_alloc where there is not what it may take, and as
/// much again.
void requireMemoryFor(std::string_view text) {
  constexpr std::size_t kLeast = std::size_t{1} << 20;
  constexpr std::size_t kForEachByte = 100;
  ::operator delete(::operator new(kLeast + kForEachByte * text.size()));
}

}  // namespace

std::optional<toml::table> parseTree(std::string_view text, const std::string& filename, Findings& findings) {
  if (const auto excess = excessOf(text)) {
    findings.error({filename, excess->line, excess->column}, excess->text);
    return std::nullopt;
  }
  requireMemoryFor(text);
  try {
    return toml::parse(text, filename);
  } catch (const toml::parse_error& error) {
    const auto source = sourceOf(filename, error.source());
    findings.error(source, syntaxError(text, source.line, source.column, error.description()));
    return std::nullopt;
  }
}

Source sourceOf(const std::string& file, const toml::source_region& region) {
  return {file, region.begin.line, region.begin.column};
}

std::unique_ptr<toml::node> nodeOf(Form form, const std::string& text) {
  if (form == Form::kList) {
    auto list = std::make_unique<toml::array>();
    for (const auto& part : splitList(text, ",")) list->push_back(part);
    return list;
  }
  std::int64_t number = 0;
  const auto* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  const bool is_number = form == Form::kNumber && error == std::errc() && stop == end;
  if (is_number) return std::make_unique<toml::value<std::int64_t>>(number);
  return std::make_unique<toml::value<std::string>>(text);
}

bool Table::isLeftOut(const toml::key& name) const {
  if (findings.wants(sourceOf(file, name.source()))) return false;
  findings.skip();
  return true;
}

void Table::refuse(const toml::key& name, const std::vector<std::string>& known) const {
  const std::string unknown(name.str());
  findings.error(sourceOf(file, name.source()),
                 "unknown key " + path + "." + unknown + "; " + suggestion(unknown, known));
}

std::vector<std::string> splitList(const std::string& text, const char* separator) {
  const Poco::StringTokenizer parts(text, separator,
                                    Poco::StringTokenizer::TOK_TRIM | Poco::StringTokenizer::TOK_IGNORE_EMPTY);
  return {parts.begin(), parts.end()};
}

}  // namespace lemonade::config
