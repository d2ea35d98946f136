// SPDX-License-Identifier: MIT
#include "rehearsal/preflight.h"

#include "base/read_write.h"
#include "config/duration.h"
#include "rehearsal/child.h"

#include <cstring>
#include <sstream>

namespace lemonade {

namespace {

using namespace std::chrono_literals;
constexpr Duration kLimit = 5s;
constexpr std::size_t kMostSaid = 300;  // of what the child wrote on standard error
constexpr int kMostSaidLines = 3;

/// What the child's report comes to.
struct Report {
  std::string stage;  ///< the last one; "" where it never began
  std::string error;
  bool done = false;
};

Report readReport(const std::string& text) {
  Report report;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(kReportStage, 0) == 0) report.stage = line.substr(std::strlen(kReportStage));
    if (line.rfind(kReportError, 0) == 0) report.error = line.substr(std::strlen(kReportError));
    if (line == kReportDone) report.done = true;
  }
  return report;
}

/// The first lines that the child wrote on standard error, as one.
std::string saidBefore(const std::string& text) {
  std::string said;
  std::istringstream lines(text);
  int count = 0;
  for (std::string line; count < kMostSaidLines && std::getline(lines, line);) {
    const auto start = line.find_first_not_of(" \t=");
    if (start == std::string::npos) continue;
    said += (said.empty() ? ": " : " ") + line.substr(start);
    ++count;
  }
  return said.substr(0, kMostSaid);
}

std::string seconds(Duration limit) {
  std::ostringstream out;
  out << std::chrono::duration<double>(limit).count() << " s";
  return out.str();
}

Result<Preflight> run(const Rehearsal& rehearsal, const plugin::PluginFile& file, Duration limit) {
  const std::string request = rehearsal.encode();
  auto input = trial::inMemory("lemonade-preflight", request.data(), request.size());
  if (!input) return std::move(input).error();
  auto content = trial::inMemory("lemonade-plugin", file.content.data(), file.content.size());
  if (!content) return std::move(content).error();
  auto output = trial::makePipe();
  if (!output) return std::move(output).error();
  auto errors = trial::makePipe();
  if (!errors) return std::move(errors).error();
  auto child = trial::Child::spawn({"preflight"}, {input.value().get(), output.value().write.get(),
                                                   errors.value().write.get(), content.value().get()});
  if (!child) return std::move(child).error();
  const bool ended = child.value().wait(limit);
  const int status = child.value().end();
  const auto report = readReport(readToEnd(output.value().read.get()));
  const std::string said = saidBefore(readToEnd(errors.value().read.get()));
  if (report.stage.empty()) return Error{"the child never began" + said};
  const std::string who = "plugin " + file.id + " (" + file.path + ") ";
  if (!report.error.empty()) return Preflight{Preflight::Outcome::kRefused, who + report.error + " in preflight"};
  if (!ended)
    return Preflight{Preflight::Outcome::kRefused, who + "did not come to an end within " + seconds(limit) +
                                                       " in preflight, it hung while " + report.stage +
                                                       "; LEMONADE_PREFLIGHT sets the limit"};
  if (report.done) return Preflight{};
  return Preflight{Preflight::Outcome::kRefused,
                   who + trial::endOf(status) + " in preflight while " + report.stage + said};
}

}  // namespace

Result<std::optional<Duration>> preflightLimit(const config::Environment& environment) {
  const auto found = environment.find("LEMONADE_PREFLIGHT");
  if (found == environment.end() || found->second.empty()) return std::optional<Duration>(kLimit);
  if (found->second == "off") return std::optional<Duration>();
  const auto limit = config::parseDuration(found->second);
  if (limit && *limit > Duration::zero()) return std::optional<Duration>(*limit);
  return Error{"\"" + found->second + "\" is neither off nor a duration such as \"5s\""};
}

Preflight preflight(const Rehearsal& rehearsal, const plugin::PluginFile& file, Duration limit) {
  auto result = run(rehearsal, file, limit);
  if (result) return std::move(result).value();
  return {Preflight::Outcome::kUnable,
          "plugin " + file.id + " (" + file.path +
              ") is used without a preflight, which cannot be run here: " + result.error().message};
}

}  // namespace lemonade
