// SPDX-License-Identifier: MIT
#include "validate/report.h"

#include "base/log_line.h"

#include <Poco/JSON/Array.h>
#include <Poco/JSON/Object.h>

#include <iomanip>
#include <map>
#include <string>

namespace lemonade::validate {

using log::printable;

void printReport(std::ostream& out, const Verdict& verdict) {
  out << printable(verdict.path) << '\n';
  std::map<Grade, int> counts;
  std::string reasons;  // once more with the verdict, where all that was skipped for it does not hide it
  for (const auto& result : verdict.results) {
    const auto& [check, outcome] = result;
    ++counts[outcome.status];
    if (isBad(outcome.status)) reasons.append(reasons.empty() ? " for " : ", ").append(check->id);
    if (outcome.status == Grade::kSkip && outcome.found == "of another kind") continue;
    out << "  " << std::left << std::setw(6) << nameOf(outcome.status) << std::setw(24) << check->id << check->shows;
    if (!outcome.found.empty()) out << ": " << printable(outcome.found);
    out << '\n';
    if (isBad(outcome.status)) out << "        mend: " << printable(result.mend()) << '\n';
  }
  out << (verdict.bad() ? "  refused" : "  accepted") << reasons << ':';
  for (const auto& [status, count] : counts) out << ' ' << count << ' ' << nameOf(status);
  out << '\n';
}

void printJson(std::ostream& out, const std::vector<Verdict>& verdicts) {
  Poco::JSON::Array plugins;
  for (const auto& verdict : verdicts) {
    Poco::JSON::Array checks;
    for (const auto& result : verdict.results) {
      const auto& [check, outcome] = result;
      Poco::JSON::Object row;
      row.set("id", check->id);
      row.set("status", nameOf(outcome.status));
      row.set("shows", check->shows);
      row.set("found", printable(outcome.found));
      if (isBad(outcome.status)) row.set("mend", printable(result.mend()));
      checks.add(row);
    }
    Poco::JSON::Object plugin;
    plugin.set("file", printable(verdict.path));
    plugin.set("ok", !verdict.bad());
    plugin.set("checks", checks);
    plugins.add(plugin);
  }
  Poco::JSON::Object all;
  all.set("plugins", plugins);
  all.stringify(out, 2);
  out << '\n';
}

}  // namespace lemonade::validate
