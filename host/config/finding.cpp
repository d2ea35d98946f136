// SPDX-License-Identifier: MIT
#include "config/finding.h"

#include "base/log_line.h"

#include <algorithm>
#include <tuple>

namespace lemonade::config {
namespace {

constexpr std::size_t kMost = 99;  // and one that says how many more
constexpr std::size_t kLongestText = 2'000;

/// Those of the file by line and column, then the others.
bool before(const Source& a, const Source& b) noexcept {
  return std::tuple(a.line == 0, a.line, a.column) < std::tuple(b.line == 0, b.line, b.column);
}

}  // namespace

std::string Finding::line() const {
  return source.text() + (severity == Severity::kWarning ? ": warning: " : ": ") + text;
}

bool hasErrors(const std::vector<Finding>& findings) noexcept {
  return std::any_of(findings.begin(), findings.end(),
                     [](const Finding& finding) { return finding.severity == Severity::kError; });
}

void Findings::add(std::vector<Finding> findings) {
  for (auto& finding : findings) {
    if (finding.stands_for == 1) {
      keep(std::move(finding));
    } else {
      left_out_.stands_for += finding.stands_for;
      if (finding.severity == Severity::kError) left_out_.severity = Severity::kError;
    }
  }
}

/// Texts quote what the file or a plugin holds; a finding is one line of text all the same, of a length that can be
/// read.
void Findings::add(Severity severity, Source source, const std::string& text) {
  const bool is_long = text.size() > kLongestText;
  keep({severity, std::move(source), log::printable(is_long ? text.substr(0, kLongestText) + "..." : text)});
}

void Findings::keep(Finding finding) {
  list_.push_back(std::move(finding));
  if (list_.size() >= 2 * kMost) leaveOut();
}

bool Findings::wants(const Source& source) const noexcept {
  return left_out_.stands_for == 0 || list_.size() < kMost || before(source, list_[kMost - 1].source);
}

void Findings::leaveOut() {
  std::stable_sort(list_.begin(), list_.end(),
                   [](const Finding& a, const Finding& b) { return before(a.source, b.source); });
  for (; list_.size() > kMost; list_.pop_back()) {
    left_out_.stands_for += 1;
    if (list_.back().severity == Severity::kError) left_out_.severity = Severity::kError;
  }
}

std::vector<Finding> Findings::take() && {
  leaveOut();
  if (left_out_.stands_for != 0) {
    if (!list_.empty()) left_out_.source.file = list_.front().source.file;
    left_out_.text = "and " + std::to_string(left_out_.stands_for) + " more like these";
    list_.push_back(std::move(left_out_));
  }
  return std::move(list_);
}

}  // namespace lemonade::config
