// SPDX-License-Identifier: MIT
//
// Tries a plugin in a process of its own before any of its code runs in this one. A plugin that crashes, hangs, throws
// or answers nonsense there is refused by name, and what runs is none the worse.
//
// The child is this very program (/proc/self/exe, so an upgrade of the file on disk makes no difference), started with
// posix_spawn and nothing of this process but four descriptors:
//
//   0  the request (see rehearsal.h)        2  what it writes on standard error, the beginning of it
//   1  how far it has come                  3  the content of the plugin, the very bytes that are loaded here
//   afterwards
//
// Not on the control thread: it waits for the child.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "config/environment.h"
#include "plugin/plugin_file.h"
#include "rehearsal/rehearsal.h"

#include <optional>
#include <string>

namespace lemonade {

/// How long a preflight may take, from LEMONADE_PREFLIGHT: a duration, or "off" (nothing); 5 s where it is unset.
Result<std::optional<Duration>> preflightLimit(const config::Environment& environment);

/// What came of a preflight.
struct Preflight {
  enum class Outcome {
    kPassed,
    kRefused,  ///< the plugin is not to be used
    kUnable,   ///< nothing was learnt: the child could not be started
  };
  Outcome outcome = Outcome::kPassed;
  std::string text;  ///< where it did not pass: a sentence that names the plugin and its file
};

/// Rehearses file in a child, which is killed where it takes longer than limit.
Preflight preflight(const Rehearsal& rehearsal, const plugin::PluginFile& file, Duration limit);

// What the child says on descriptor 1, a line each; the words that follow are for people.
inline constexpr const char* kReportStage = "stage ";  ///< and the stage; the first comes before the plugin is loaded
inline constexpr const char* kReportError = "error ";  ///< and what the plugin did wrong
inline constexpr const char* kReportDone = "done";
inline constexpr int kPluginFd = 3;

}  // namespace lemonade
