// SPDX-License-Identifier: MIT
//
// The comparison of two readings of what belongs to the process.
#include "plugin/process_state.h"

#include <signal.h>
#include <string.h>

#include <algorithm>

namespace lemonade::plugin {

namespace {

constexpr std::size_t kMostNamed = 3;

std::string signalName(int number) {
  const char* name = ::sigabbrev_np(number);
  return name != nullptr ? "SIG" + std::string(name) : "signal " + std::to_string(number);
}

std::string quoted(const std::string& value) { return value.empty() ? "\"\"" : value; }

/// The first few of them, separated by commas.
std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kMostNamed); ++i) text += (i == 0 ? "" : ", ") + names[i];
  return names.size() > kMostNamed ? text + " and " + std::to_string(names.size() - kMostNamed) + " more" : text;
}

const char* whenOf(Moment moment) {
  switch (moment) {
    case Moment::kLoaded:
      return " when it is loaded";
    case Moment::kCreated:
      return " when an instance is created";
    case Moment::kCalled:
      return " in a call";
    case Moment::kEnded:
      return " when an instance is destroyed";
  }
  return "";
}

}  // namespace

void ProcessState::compareProperties(const ProcessState& later, Changes& changes) const {
  for (std::size_t i = 0; i < properties_.size() && i < later.properties_.size(); ++i) {
    const auto& before = properties_[i];
    const auto& after = later.properties_[i];
    if (before.value == after.value) continue;
    std::string text = std::string("changes ") + before.name;
    if (before.tells) text += " from " + quoted(before.value) + " to " + quoted(after.value);
    changes.push_back({std::move(text), before.mend});
  }
}

void ProcessState::compareSignals(const ProcessState& later, Changes& changes) const {
  std::vector<std::string> installed, ignored, reset;
  for (const auto& [number, action] : later.signals_) {
    const auto before = signals_.find(number);
    if (before == signals_.end() || before->second == action) continue;
    const auto handler = action.first;
    auto& which = handler == reinterpret_cast<std::uintptr_t>(SIG_IGN)   ? ignored
                  : handler == reinterpret_cast<std::uintptr_t>(SIG_DFL) ? reset
                                                                         : installed;
    which.push_back(signalName(number));
  }
  const auto add = [&](const std::vector<std::string>& which, const char* what) {
    if (!which.empty())
      changes.push_back({what + listed(which),
                         "leave signals to the host; a library that takes them "
                         "has a switch for that, as a rule"});
  };
  add(installed, "installs a signal handler for ");
  add(ignored, "ignores ");
  add(reset, "takes away the signal handler of ");
}

void ProcessState::compareEnvironment(const ProcessState& later, Changes& changes) const {
  std::vector<std::string> names;  // not the values: they may be secret
  for (const auto& [name, value] : later.environment_) {
    const auto before = environment_.find(name);
    if (before == environment_.end() || before->second != value) names.push_back(name);
  }
  for (const auto& [name, value] : environment_)
    if (!later.environment_.contains(name)) names.push_back(name);
  if (names.empty()) return;
  changes.push_back({"changes the environment: " + listed(names),
                     "leave the environment alone, which other threads read; take what you need as an option"});
}

void ProcessState::compareDescriptors(const ProcessState& later, const Rules& rules, Changes& changes) const {
  const auto name = [](int fd, const Descriptor& descriptor) {
    return std::to_string(fd) + " (" + descriptor.target + ")";
  };
  const auto is_copy = [&rules](const Descriptor& descriptor) {
    return !rules.private_copy.empty() && descriptor.target.starts_with("/memfd:" + rules.private_copy + " ");
  };
  std::vector<std::string> closed, behave, opened;
  for (const auto& [fd, before] : descriptors_) {
    const auto after = later.descriptors_.find(fd);
    if (after == later.descriptors_.end() || after->second.file != before.file)
      closed.push_back(name(fd, before));
    else if (after->second.flags != before.flags)
      behave.push_back(name(fd, before));
  }
  for (const auto& [fd, after] : later.descriptors_)
    if (!descriptors_.contains(fd) && !is_copy(after)) opened.push_back(name(fd, after));
  if (!closed.empty())
    changes.push_back(
        {"closes or replaces descriptors of the host: " + listed(closed), "close only what you have opened, once"});
  if (!behave.empty())
    changes.push_back({"changes the flags of descriptors of the host: " + listed(behave),
                       "leave descriptors alone that you have not opened, 0, 1 and 2 too"});
  if (!opened.empty() && rules.moment == Moment::kLoaded)
    changes.push_back({"leaves descriptors open: " + listed(opened),
                       "open what you need in create, and close it in "
                       "destroy"});
}

void ProcessState::compareWhatRuns(const ProcessState& later, const Rules& rules, Changes& changes) const {
  const auto more = std::count_if(later.threads_.begin(), later.threads_.end(),
                                  [this](int thread) { return !threads_.contains(thread); });
  const std::string threads = more == 1 ? "a thread" : std::to_string(more) + " threads";
  if (more > 0 && rules.moment == Moment::kLoaded)
    changes.push_back({"starts " + threads, "start threads in create, and join them in destroy"});
  if (more > 0 && rules.moment == Moment::kEnded && rules.unload_safe)
    changes.push_back({"leaves " + threads + " running, though it says that it may be unmapped",
                       "join them in destroy, or clear LEMONADE_FLAG_UNLOAD_SAFE (SDK: .flags = 0)"});
  const bool may_have_some = rules.moment == Moment::kCreated || rules.moment == Moment::kCalled;
  if (children_ || !later.children_ || may_have_some) return;
  changes.push_back({rules.moment == Moment::kLoaded ? "starts a child process" : "leaves a child process",
                     "start it in create or later, and end it and wait for it (waitpid) by the end of destroy"});
}

std::optional<ProcessChange> ProcessState::changeIn(const ProcessState& later, const Rules& rules) const {
  Changes changes = float_control_.changesIn(later.float_control_);
  compareSignals(later, changes);
  compareProperties(later, changes);
  compareEnvironment(later, changes);
  compareDescriptors(later, rules, changes);
  compareWhatRuns(later, rules, changes);
  if (changes.empty()) return std::nullopt;
  ProcessChange all;
  std::vector<std::string> mends;
  for (const auto& change : changes) {
    all.text += (all.text.empty() ? "" : "; it ") + change.text;
    if (std::find(mends.begin(), mends.end(), change.mend) != mends.end()) continue;
    all.mend += (mends.empty() ? "" : "; ") + change.mend;
    mends.push_back(change.mend);
  }
  all.text += whenOf(rules.moment);
  return all;
}

}  // namespace lemonade::plugin
