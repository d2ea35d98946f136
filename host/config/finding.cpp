// SPDX-License-Identifier: MIT
#include "config/finding.h"

#include "base/log_line.h"

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

/// Texts quote what the file or a plugin holds; a finding is one line of text all the same.
void Findings::add(Severity severity, Source source, const std::string& text) {
  list_.push_back({severity, std::move(source), log::printable(text)});
}

std::vector<Finding> Findings::take() && {
  std::stable_sort(list_.begin(), list_.end(), [](const Finding& a, const Finding& b) {
    return std::tuple(a.source.line == 0, a.source.line, a.source.column) <
           std::tuple(b.source.line == 0, b.source.line, b.source.column);
  });
  return std::move(list_);
}

}  // namespace lemonade::config
