// SPDX-License-Identifier: MIT
//
// The findings as text for people and as JSON.
#pragma once

#include "doctor/finding.h"

#include <ostream>
#include <string>

namespace lemonade::doctor {

/// A line for each finding in columns, its mend below it, and how many there are of each level.
void printReport(std::ostream& out, const Findings& findings, bool colour);

/// {"ok": no problem, "problems": n, "warnings": n, "findings": [{"level", "topic", "what", "where", "mend"}]}.
void printJson(std::ostream& out, const Findings& findings);

bool hasProblem(const Findings& findings);

}  // namespace lemonade::doctor
