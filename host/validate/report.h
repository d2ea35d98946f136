// SPDX-License-Identifier: MIT
//
// Verdicts for people and for programs.
#pragma once

#include "validate/runner.h"

#include <ostream>
#include <vector>

namespace lemonade::validate {

/// One line for each check, then the mend of each that is bad.
void printReport(std::ostream& out, const Verdict& verdict);

/// {"plugins": [{"file", "ok", "checks": [{"id", "status", "shows", "found", "mend"}]}]}
void printJson(std::ostream& out, const std::vector<Verdict>& verdicts);

}  // namespace lemonade::validate
