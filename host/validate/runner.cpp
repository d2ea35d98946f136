// SPDX-License-Identifier: MIT
#include "validate/runner.h"

#include "validate/isolation.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <utility>

namespace lemonade::validate {

namespace {

constexpr const char* kOtherKind = "of another kind";
constexpr std::uintmax_t kLargestFile = 256 << 20;  // as the balancer has it

/// Runs checks and remembers which prerequisites of later ones do not hold.
class Run {
 public:
  Run(const Subject& subject, const Wish& wish, Verdict& verdict)
      : subject_(subject), wish_(wish), verdict_(verdict), left_(wish.budget) {
    for (const auto& check : verdict.checks)
      if (wanted(check)) need(check);
  }

  void add(const Check& check, bool is_dynamic) {
    // A static check costs nothing and keeps the dynamic ones from a file that cannot be loaded.
    if (is_dynamic && !needed_.contains(check.id)) return;
    const Outcome outcome = comesTo(check, is_dynamic);
    note(check, outcome);
    if (wanted(check)) verdict_.results.push_back({&check, outcome});
  }

  bool anyBad() const { return bad_; }
  const std::string& exceptions() const { return exceptions_; }

 private:
  bool wanted(const Check& check) const {
    return std::string_view(check.id).substr(0, wish_.only.size()) == wish_.only;
  }

  /// Marks a check and all its prerequisites as needed.
  void need(const Check& check) {
    if (!needed_.insert(check.id).second) return;
    std::istringstream prerequisites(check.prerequisites);
    for (std::string id; prerequisites >> id;)
      for (const auto& other : verdict_.checks)
        if (other.id == id) need(other);
  }

  Outcome comesTo(const Check& check, bool is_dynamic) {
    if (is_dynamic && !subject_.loadable) return skip("the file cannot be loaded");
    if (is_dynamic && check.kinds != 0 && (check.kinds & subject_.loadable->kinds) == 0) return skip(kOtherKind);
    std::istringstream prerequisites(check.prerequisites);
    for (std::string id; prerequisites >> id;)
      if (blocked_.contains(id)) return skip("after " + id);
    if (!is_dynamic && !check.loads_libraries) return check.run(subject_);
    if (left_ <= Duration::zero()) return outOfTime();
    const auto before = nowNs();
    auto ending = runIsolated([&] { return check.run(subject_); }, std::min(wish_.limit, left_));
    left_ -= Duration(nowNs() - before);
    if (ending.outcome.status == Grade::kCrash && !check.is_ordinary) ending.outcome.mend.clear();
    if (ending.outcome.status == Grade::kHang && !check.is_ordinary)
      ending.outcome.mend = std::string(check.mend) + "; a slow or busy machine gets more time with --limit";
    if (ending.exception.empty()) return std::move(ending).outcome;
    exceptions_ += (exceptions_.empty() ? "" : "; ") + ending.exception;
    return skip("an exception left it: see exceptions.none");
  }

  /// The first that finds no time left says so; a plugin that was not judged to the end is not sound.
  Outcome outOfTime() {
    if (std::exchange(told_, true)) return skip("no time is left");
    return {Grade::kHang, "the time that all its checks have together is over",
            "see what takes its time above; --budget gives all of them more"};
  }

  void note(const Check& check, const Outcome& outcome) {
    if (outcome.found == kOtherKind) return;  // a check that has it as prerequisite is for several kinds
    bad_ = bad_ || isBad(outcome.status);
    if (isBad(outcome.status) || outcome.status == Grade::kSkip) blocked_.insert(check.id);
  }

  const Subject& subject_;
  const Wish& wish_;
  Verdict& verdict_;
  std::set<std::string> needed_;
  std::set<std::string> blocked_;
  std::string exceptions_;
  bool bad_ = false;
  Duration left_;
  bool told_ = false;  // that no time is left
};

}  // namespace

std::string CheckResult::mend() const { return outcome.mend.empty() ? check->mend : outcome.mend; }

bool Verdict::bad() const {
  return std::any_of(results.begin(), results.end(), [](const auto& one) { return isBad(one.outcome.status); });
}

Status checkReadable(const std::string& path) {
  std::error_code failed;
  const auto status = std::filesystem::status(path, failed);
  if (failed) return Error{path + ": " + failed.message()};
  if (std::filesystem::is_directory(status)) return Error{path + ": is a directory"};
  if (::access(path.c_str(), R_OK) != 0) return Error{path + ": " + std::strerror(errno)};
  return success();
}

Result<Subject> readSubject(const std::string& path, const Wish& wish) {
  if (auto readable = checkReadable(path); !readable) return std::move(readable).error();
  // What is no regular file might never end; file.regular tells of it.
  std::error_code failed;
  const bool regular = std::filesystem::is_regular_file(path, failed) &&
                       std::filesystem::file_size(path, failed) <= kLargestFile && !failed;
  std::string content;
  if (regular) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return Error{path + ": " + std::strerror(errno)};
    content.assign(std::istreambuf_iterator<char>(file), {});
  }
  Subject subject;
  subject.path = path;
  subject.seed = wish.seed;
  subject.thorough = wish.thorough;
  subject.options = wish.options;
  const auto* bytes = reinterpret_cast<const std::byte*>(content.data());
  subject.content.assign(bytes, bytes + content.size());
  auto elf = plugin::ElfFile::parse(subject.content);
  if (elf)
    subject.elf = std::move(elf).value();
  else
    subject.elf_error = elf.error().message;
  auto loadable = plugin::readPluginFile(path);
  if (loadable)
    subject.loadable = std::move(loadable).value();
  else
    subject.refusal = loadable.error().message;
  return subject;
}

Verdict judge(const Subject& subject, const Wish& wish) {
  Verdict verdict;
  verdict.path = subject.path;
  const std::size_t static_count = staticChecks().size();
  verdict.checks = staticChecks();
  for (const auto& check : dynamicChecks()) verdict.checks.push_back(check);
  Run run(subject, wish, verdict);
  for (std::size_t i = 0; i < verdict.checks.size(); ++i) {
    if (i == static_count && run.anyBad()) return verdict;  // its code is not to be run
    run.add(verdict.checks[i], i >= static_count);
  }
  if (wish.only.empty() || !run.exceptions().empty())
    verdict.results.push_back({&kExceptions, run.exceptions().empty() ? pass() : fail(run.exceptions())});
  return verdict;
}

}  // namespace lemonade::validate
