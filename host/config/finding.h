// SPDX-License-Identifier: MIT
//
// What reading a configuration finds wrong: in the order of the file, and not only the first.
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
  std::size_t stands_for = 1;  ///< how many findings; more where most of very many were left out

  /// "file:line:column: text"; a warning says so before its text.
  std::string line() const;
};

/// One of them is an error.
bool hasErrors(const std::vector<Finding>& findings) noexcept;

/// Collects findings, of which it keeps the first hundred of the file: what is wrong may be all of a file of megabytes,
/// and an operator reads no more. One thread.
class Findings {
 public:
  void error(Source source, const std::string& text) { add(Severity::kError, std::move(source), text); }
  void warning(Source source, const std::string& text) { add(Severity::kWarning, std::move(source), text); }
  /// What another one took.
  void add(std::vector<Finding> findings);

  /// False where an error at that place would be left out: its text need not be made, and skip() counts it.
  bool wants(const Source& source) const noexcept;
  void skip() noexcept {
    left_out_.stands_for += 1;
    left_out_.severity = Severity::kError;
  }

  /// At most a hundred: those of the file by line and column, then the others as they were found, then how many were
  /// left out.
  std::vector<Finding> take() &&;

 private:
  void add(Severity severity, Source source, const std::string& text);
  void keep(Finding finding);
  void leaveOut();

  std::vector<Finding> list_;  // sorted once it has been cut
  Finding left_out_{Severity::kWarning, {}, "", 0};
};

}  // namespace lemonade::config
