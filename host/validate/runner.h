// SPDX-License-Identifier: MIT
//
// Runs the checks on a plugin, in order, and says what came of each.
#pragma once

#include "base/clock.h"
#include "validate/check.h"

#include <functional>
#include <string>
#include <vector>

namespace lemonade::validate {

/// What one check came to.
struct CheckResult {
  const Check* check;
  Outcome outcome;

  /// What the author does about it, where it is bad.
  std::string mend() const;
};

/// What all checks of one file came to.
struct Verdict {
  std::string path;
  std::vector<Check> checks;  ///< all checks; results point into them
  std::vector<CheckResult> results;

  /// True where one of the results makes the plugin unfit.
  bool bad() const;
};

/// What the user asked for.
struct Wish {
  std::string only;                            ///< runs the checks whose id begins with it; "": all
  Duration limit = std::chrono::seconds(20);   ///< of each check that runs code
  Duration budget = std::chrono::seconds(60);  ///< of all of them together
  std::uint64_t seed = 1;
  bool thorough = false;
  config::OptionTable options;
};

/// An error where there is no such file, or a folder, or one that must not be read.
Status checkReadable(const std::string& path);

/// Reads the file; an error says why it cannot be.
Result<Subject> readSubject(const std::string& path, const Wish& wish);

/// Runs the checks that the wish names. Their prerequisites are run, too, but not shown.
Verdict judge(const Subject& subject, const Wish& wish);

}  // namespace lemonade::validate
