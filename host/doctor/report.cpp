// SPDX-License-Identifier: MIT
#include "doctor/report.h"

#include "base/log_line.h"

#include <Poco/JSON/Array.h>
#include <Poco/JSON/Object.h>

#include <algorithm>
#include <iomanip>

namespace lemonade::doctor {

namespace {

struct Look {
  const char* name;
  const char* colour;  // an escape sequence of terminals
};

Look lookOf(Level level) {
  switch (level) {
    case Level::kOk:
      return {"ok", "\x1b[32m"};
    case Level::kWarning:
      return {"warning", "\x1b[33m"};
    case Level::kProblem:
      break;
  }
  return {"problem", "\x1b[1;31m"};
}

long countOf(const Findings& findings, Level level) {
  return std::count_if(findings.begin(), findings.end(), [&](const auto& finding) { return finding.level == level; });
}

std::string number(long count, const char* one, const char* more) {
  return std::to_string(count) + " " + (count == 1 ? one : more);
}

}  // namespace

bool hasProblem(const Findings& findings) { return countOf(findings, Level::kProblem) != 0; }

void printReport(std::ostream& out, const Findings& findings, bool colour) {
  constexpr int kLevel = 9;
  constexpr int kTopic = 14;
  for (const auto& finding : findings) {
    const auto [name, escape] = lookOf(finding.level);
    out << (colour ? escape : "") << std::left << std::setw(kLevel) << name << (colour ? "\x1b[0m" : "")
        << std::setw(kTopic) << finding.topic << log::printable(finding.what);
    if (!finding.where.empty()) out << " (" << log::printable(finding.where) << ")";
    out << '\n';
    if (finding.level != Level::kOk && !finding.mend.empty())
      out << std::string(kLevel + kTopic, ' ') << "mend: " << log::printable(finding.mend) << '\n';
  }
  const long problems = countOf(findings, Level::kProblem), warnings = countOf(findings, Level::kWarning);
  out << number(problems, "problem", "problems") << ", " << number(warnings, "warning", "warnings") << ", "
      << countOf(findings, Level::kOk) << " ok\n";
}

void printJson(std::ostream& out, const Findings& findings) {
  Poco::JSON::Array rows;
  for (const auto& finding : findings) {
    Poco::JSON::Object row(Poco::JSON_PRESERVE_KEY_ORDER);
    row.set("level", lookOf(finding.level).name);
    row.set("topic", finding.topic);
    row.set("what", log::validUtf8(finding.what));
    row.set("where", log::validUtf8(finding.where));
    row.set("mend", finding.level == Level::kOk ? std::string() : log::validUtf8(finding.mend));
    rows.add(row);
  }
  Poco::JSON::Object all(Poco::JSON_PRESERVE_KEY_ORDER);
  all.set("ok", !hasProblem(findings));
  all.set("problems", static_cast<std::int64_t>(countOf(findings, Level::kProblem)));
  all.set("warnings", static_cast<std::int64_t>(countOf(findings, Level::kWarning)));
  all.set("findings", rows);
  all.stringify(out, 2);
  out << '\n';
}

}  // namespace lemonade::doctor
