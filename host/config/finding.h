// SPDX-License-Identifier: MIT
//
// What reading a configuration finds wrong: all of it, in the order of the file, not only the first.
#pragma once

#include "config/config.h"

#include <string>
#include <vector>

namespace lemonade::config {

enum class Severity { kWarning, kError };

/// One thing that is wrong: what, and the mend.
struct Finding {
  Severity severity = Severity::kError;
  Source source;
  std::string text;

  /// "file:line:column: text"; a warning says so before its text.
  std::string line() const;
};

/// One of them is an error.
bool hasErrors(const std::vector<Finding>& findings) noexcept;

/// Collects findings. One thread.
class Findings {
 public:
  void error(Source source, const std::string& text) { add(Severity::kError, std::move(source), text); }
  void warning(Source source, const std::string& text) { add(Severity::kWarning, std::move(source), text); }

  /// All of them: those of the file by line and column, then the others as they were found.
  std::vector<Finding> take() &&;

 private:
  void add(Severity severity, Source source, const std::string& text);

  std::vector<Finding> list_;
};

}  // namespace lemonade::config
