// SPDX-License-Identifier: MIT
//
// What a plugin is put through before it is used: created with its real options, shown the real backends, asked a
// thousand times, ended. It runs in a process of its own (see preflight.h), so that code that crashes or hangs does it
// there.
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

/// How far a rehearsal has come, in words that follow "while": "picking".
using OnStage = std::function<void(const char* stage)>;

/// Puts a plugin through it. An error says what the plugin did wrong, as words that follow its name. A plugin that
/// refuses its options or declines to start is no error: the host hears the same when it creates it, and knows the line
/// to blame.
Status rehearse(const Rehearsal& rehearsal, const plugin::PluginFile& file, const OnStage& on_stage);

}  // namespace lemonade
