// SPDX-License-Identifier: MIT
//
// Tries a plugin in a process of its own before any of its code runs in this one. A plugin that crashes, hangs, throws
// or answers nonsense there is refused by name, and what runs is none the worse.
//
// The child is this very program (/proc/self/exe, so an upgrade of the file on disk makes no difference), started with
// posix_spawn and nothing of this process but four descriptors:
//
//   0  the request (see rehearsal.h)        2  what it writes on standard error, the beginning of it
//   1  memory: how far it has come          3  the content of the plugin, the very bytes that are loaded here
//                                              afterwards
//
// A child that somebody kills or stops has told nothing: it is tried once more.
//
// Not on the control thread: it waits for the children.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "config/environment.h"
#include "plugin/plugin_file.h"
#include "rehearsal/rehearsal.h"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

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

/// A plugin to try, and how.
struct PreflightRequest {
  Rehearsal rehearsal;
  const plugin::PluginFile* file;  ///< not null
};

/// Rehearses each in a child of its own, at most `at_once` of them at the same time (1 at least), and kills a child
/// that takes longer than limit. In the order of the requests.
std::vector<Preflight> preflight(const std::vector<PreflightRequest>& requests, Duration limit, std::size_t at_once);

// What the child writes to the memory of descriptor 1, a line each; the words that follow are for people.
inline constexpr const char* kReportStage = "stage ";  ///< and the stage; the first comes before the plugin is loaded
inline constexpr const char* kReportError = "error ";  ///< and what the plugin did wrong
inline constexpr const char* kReportMend = "mend ";    ///< and what to do about it
inline constexpr const char* kReportDone = "done";
inline constexpr int kPluginFd = 3;
inline constexpr std::size_t kReportSize = 64 << 10;  ///< bytes of that memory

}  // namespace lemonade
