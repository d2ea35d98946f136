// SPDX-License-Identifier: MIT
#include "config/finding.h"

#include <algorithm>
#include <tuple>

namespace lemonade::config {

std::string Finding::line() const {
  return source.text() + (severity == Severity::kWarning ? ": warning: " : ": ") + text;
}

bool hasErrors(const std::vector<Finding>& findings) noexcept {
  return std::any_of(findings.begin(), findings.end(),
                     [](const Finding& finding) { return finding.severity == Severity::kError; });
}

/// Texts quote what the file holds; a finding is one line all the same.
void Findings::add(Severity severity, Source source, std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
  list_.push_back({severity, std::move(source), std::move(text)});
}

std::vector<Finding> Findings::take() && {
  std::stable_sort(list_.begin(), list_.end(), [](const Finding& a, const Finding& b) {
    return std::tuple(a.source.line == 0, a.source.line, a.source.column) <
           std::tuple(b.source.line == 0, b.source.line, b.source.column);
  });
  return std::move(list_);
}

}  // namespace lemonade::config
