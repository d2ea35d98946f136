// SPDX-License-Identifier: MIT
//
// What plugin-validate is made of: checks, each a small function with an id, and what one of them comes to. Static
// checks judge the file as bytes; dynamic ones run code of the plugin and therefore each in a process of its own (see
// isolation.h), in which any of them may crash, hang or leave anything behind. So do the few static ones that load the
// libraries which the file names: those have constructors, too.
#pragma once

#include "config/config.h"
#include "plugin/elf_file.h"
#include "plugin/plugin_file.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lemonade::validate {

enum class Grade { kPass, kWarn, kSkip, kFail, kCrash, kHang };

/// "pass", "warn", "skip", "fail", "crash" or "hang".
const char* nameOf(Grade status);

/// True for what makes a plugin unfit: fail, crash and hang.
inline bool isBad(Grade status) { return status >= Grade::kFail; }

struct Outcome {
  Grade status = Grade::kPass;
  std::string found = {};  ///< what it saw; "" for a plain pass
  std::string mend = {};   ///< where it is bad: what its author does about that; "": what the check says
};

inline Outcome pass() { return {}; }
inline Outcome warn(std::string found) { return {Grade::kWarn, std::move(found)}; }
inline Outcome skip(std::string found) { return {Grade::kSkip, std::move(found)}; }
inline Outcome fail(std::string found, std::string mend = {}) {
  return {Grade::kFail, std::move(found), std::move(mend)};
}

/// What is judged. Constant once the checks run.
struct Subject {
  std::string path;
  std::uint64_t seed = 1;       ///< of everything random
  bool thorough = false;        ///< ten times as much of everything that is repeated
  config::OptionTable options;  ///< given by the user, for plugins that do not start without
  std::vector<std::byte> content;
  std::optional<plugin::ElfFile> elf;          ///< of content, where it is one
  std::string elf_error;                       ///< why it is none
  std::optional<plugin::PluginFile> loadable;  ///< where the balancer itself would load it
  std::string refusal;                         ///< why it would not

  std::uint32_t times(std::uint32_t count) const { return thorough ? count * 10 : count; }
};

struct Check {
  const char* id;     ///< "family.name", for --only, JSON and tests
  const char* shows;  ///< what holds where it passes: words that follow "the plugin"
  const char* mend;   ///< what its author does where it does not hold
  Outcome (*run)(const Subject& subject);
  const char* prerequisites = "";  ///< ids, separated by spaces: where one is bad or skipped, this check is skipped
  std::uint32_t kinds = 0;         ///< mask of LEMONADE_KIND_* that it is for; 0: all
  bool loads_libraries = false;
  /// Whether it does what a host does all the time: a plugin that dies or hangs then does so of itself, and is told
  /// about the way it ended. In other checks it is what they look for that it does not bear.
  bool is_ordinary = false;
};

/// Every check, in the order they run in.
std::vector<Check> staticChecks();
std::vector<Check> dynamicChecks();

// The families, each in a file of its name.
std::span<const Check> fileChecks();
std::span<const Check> elfChecks();
std::span<const Check> tagChecks();
std::span<const Check> loadChecks();
std::span<const Check> descriptorChecks();
std::span<const Check> versionChecks();
std::span<const Check> creationChecks();
std::span<const Check> processChecks();
std::span<const Check> lifecycleChecks();
std::span<const Check> optionChecks();
std::span<const Check> strategyChecks();
std::span<const Check> strategyUseChecks();
std::span<const Check> strategyCostChecks();
std::span<const Check> healthChecks();
std::span<const Check> sinkChecks();
std::span<const Check> stateChecks();
std::span<const Check> orderChecks();
std::span<const Check> lateChecks();
std::span<const Check> callChecks();

/// The check that no exception leaves the plugin. It has no code of its own: every other dynamic check reports to it.
extern const Check kExceptions;

}  // namespace lemonade::validate
