// SPDX-License-Identifier: MIT
//
// What a plugin is put through before it is used: loaded, created with its real options, shown the real backends, asked
// a thousand times, ended, unmapped where it may be. After each of that the process has to be as it was, apart from
// what a plugin may change. It runs in a process of its own (see preflight.h), so that code that crashes or hangs does
// it there.
//
// The request travels as bytes: one line of JSON, then the state that a strategy is to take over.
#pragma once

#include "balance/strategy.h"
#include "base/result.h"
#include "config/config.h"
#include "plugin/plugin_file.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lemonade {

/// One rehearsal of one plugin.
struct Rehearsal {
  struct Backend {
    config::Backend configured;
    std::string address;  ///< resolved, as Address::parse takes it; "" while the name has none
  };

  std::uint32_t kind = 0;  ///< one of LEMONADE_KIND_*
  config::PluginChoice choice;
  std::string file;  ///< as found in its directory, for messages
  std::uint32_t workers = 1;
  double panic_threshold = 0;            ///< see eligibility.h
  std::vector<Backend> backends;         ///< of a strategy or a health checker
  std::optional<Strategy::State> state;  ///< of the strategy that runs

  /// The sources of the options do not travel.
  std::string encode() const;
  static Result<Rehearsal> decode(std::string_view bytes);
};

/// What a plugin did wrong.
struct Objection {
  std::string text;  ///< words that follow its name
  std::string mend;  ///< what its author does about it; may be ""
};

/// How far a rehearsal has come, in words that follow "while": "picking".
using OnStage = std::function<void(const char* stage)>;
/// Hears at once, and once, of what is wrong. It had better end the process: what a plugin has done to it, such as
/// closing descriptors, may keep a rehearsal from coming to an end.
using OnObjection = std::function<void(const Objection& objection)>;

/// Puts a plugin through it. A plugin that refuses its options or declines to start does nothing wrong: the host hears
/// the same when it creates it, and knows the line to blame.
void rehearse(const Rehearsal& rehearsal, const plugin::PluginFile& file, const OnStage& on_stage,
              const OnObjection& on_objection);

}  // namespace lemonade
