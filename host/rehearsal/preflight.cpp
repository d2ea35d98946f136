// SPDX-License-Identifier: MIT
#include "rehearsal/preflight.h"

#include "base/read_write.h"
#include "config/duration.h"
#include "rehearsal/child.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <sstream>
#include <system_error>
#include <thread>

namespace lemonade {

namespace {

using namespace std::chrono_literals;
constexpr Duration kLimit = 5s;
constexpr Duration kTurn = 100ms;
constexpr int kTurnsStopped = 3;        // then nobody is about to let it go on
constexpr std::size_t kMostSaid = 300;  // of what the child wrote on standard error
constexpr int kMostSaidLines = 3;

/// What the child's report comes to.
struct Report {
  std::string stage;  ///< the last one; "" where it never began
  std::string error;
  std::string mend;
  bool done = false;
};

Report readReport(const std::string& text) {
  Report report;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(kReportStage, 0) == 0) report.stage = line.substr(std::strlen(kReportStage));
    if (line.rfind(kReportError, 0) == 0) report.error = line.substr(std::strlen(kReportError));
    if (line.rfind(kReportMend, 0) == 0) report.mend = line.substr(std::strlen(kReportMend));
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

/// What waiting for a child comes to.
enum class Waited { kEnded, kStopped, kTooLong };

Waited await(const trial::Child& child, Duration limit) {
  const auto deadline = nowNs() + static_cast<std::uint64_t>(limit.count());
  for (int stopped = 0;;) {
    const auto now = nowNs();
    const Duration left(now < deadline ? deadline - now : 0);
    if (child.wait(std::min(kTurn, left))) return Waited::kEnded;
    stopped = child.stopped() ? stopped + 1 : 0;
    if (stopped == kTurnsStopped) return Waited::kStopped;
    if (left <= kTurn) return stopped > 0 ? Waited::kStopped : Waited::kTooLong;
  }
}

/// What one attempt comes to.
struct Attempt {
  Preflight preflight;
  bool disturbed = false;  ///< by somebody else: nothing was learnt of the plugin
};

Preflight refused(std::string text) { return {Preflight::Outcome::kRefused, std::move(text)}; }

/// What was seen of a child says this of its plugin.
Attempt judge(const std::string& who, const Report& report, Waited waited, int status, Duration limit,
              const std::string& said) {
  const std::string mend = report.mend.empty() ? "" : "; " + report.mend;
  if (!report.error.empty()) return {refused(who + report.error + " in preflight" + mend)};
  if (waited == Waited::kTooLong)
    return {refused(who + "did not come to an end within " + seconds(limit) + " in preflight, it hung while " +
                    report.stage + "; LEMONADE_PREFLIGHT sets the limit")};
  if (waited == Waited::kEnded && report.done) return {};
  if (waited == Waited::kStopped || trial::wasKilled(status)) {
    const std::string how =
        waited == Waited::kStopped ? "stopped by a signal" : "killed (" + trial::endOf(status) + ")";
    return {refused(who + "cannot be judged: the process that tries it in preflight was " + how + " while " +
                    report.stage + ", twice; see who does that (the kernel's log, where memory ran out) and try again"),
            true};
  }
  return {refused(who + trial::endOf(status) + " in preflight while " + report.stage + said +
                  "; plugin-validate says more")};
}

Result<Attempt> attempt(const PreflightRequest& request, Duration limit) {
  const std::string bytes = request.rehearsal.encode();
  const auto& file = *request.file;
  auto input = trial::inMemory("lemonade-preflight", bytes.data(), bytes.size());
  if (!input) return std::move(input).error();
  auto content = trial::inMemory("lemonade-plugin", file.content.data(), file.content.size());
  if (!content) return std::move(content).error();
  auto output = trial::emptyInMemory("lemonade-report");
  if (!output) return std::move(output).error();
  auto errors = trial::makePipe();
  if (!errors) return std::move(errors).error();
  auto child = trial::Child::spawn(
      {"preflight", std::to_string(::getpid())},
      {input.value().get(), output.value().get(), errors.value().write.get(), content.value().get()});
  if (!child) return std::move(child).error();
  const auto waited = await(child.value(), limit);
  const int status = child.value().end();
  const auto report = readReport(trial::contentOf(output.value()));
  const std::string said = saidBefore(readToEnd(errors.value().read.get()));
  const bool killed = waited == Waited::kEnded && trial::wasKilled(status);  // by another than us
  const bool disturbed = waited == Waited::kStopped || killed;
  // Not even where the machine has so much else to do that it takes longer than the limit: that is no plugin's fault.
  if (report.stage.empty() && !disturbed) return Error{"the child never began" + said};
  return judge("plugin " + file.id + " (" + file.path + ") ", report, waited, status, limit, said);
}

Preflight preflightOne(const PreflightRequest& request, Duration limit) {
  auto result = attempt(request, limit);
  if (result && result.value().disturbed) result = attempt(request, limit);
  if (result) return std::move(result).value().preflight;
  return {Preflight::Outcome::kUnable,
          "plugin " + request.file->id + " (" + request.file->path +
              ") is used without a preflight, which cannot be run here: " + result.error().message};
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

std::vector<Preflight> preflight(const std::vector<PreflightRequest>& requests, Duration limit, std::size_t at_once) {
  std::vector<Preflight> results(requests.size());
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i = next++; i < requests.size(); i = next++) results[i] = preflightOne(requests[i], limit);
  };
  std::vector<std::jthread> helpers;
  try {
    while (helpers.size() + 1 < std::min(at_once, requests.size())) helpers.emplace_back(work);
  } catch (const std::system_error&) {
    // Fewer do it as well.
  }
  work();
  return results;
}

}  // namespace lemonade
