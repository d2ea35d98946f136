// SPDX-License-Identifier: MIT
//
// Turns the options an operator wrote into what a plugin's schema promises it: known keys only, of the right type, in
// range, defaults filled in.
#pragma once

#include "config/config.h"

#include <lemonade/plugin.h>
#include <lemonade/strategy.h>

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace lemonade::plugin {

/// One thing wrong with the options, and where it was written.
struct OptionProblem {
  config::Source source;
  std::string text;  ///< what, and the mend
};

/// The rows that describe options: those of a plugin, or those that a strategy has for each backend. The image must
/// outlive it.
struct OptionSchema {
  std::string plugin;        ///< its id, for messages
  const char* subject = "";  ///< for messages, behind "option": whose options they are
  const lemonade_option_t* rows = nullptr;
  std::uint32_t count = 0;
  std::uint32_t stride = 0;

  /// The options of a plugin.
  static OptionSchema ofPlugin(const lemonade_plugin_t& plugin, std::string id);
  /// The options that a strategy has for backends; no rows where it was built with ABI 1.0 or declares none that can be
  /// read.
  static OptionSchema ofBackends(const lemonade_strategy_t& strategy, std::string id);

  const lemonade_option_t& row(std::uint32_t index) const noexcept;
};

/// Option values in the order of a schema, with the text they borrow. Move only; the image must outlive it.
class OptionSet {
 public:
  /// Checks options against a schema; problems get every finding, and the set is of no use where there is one. `source`
  /// is where they would have been said, for what is missing.
  static OptionSet build(const OptionSchema& schema, const config::OptionTable& options, const config::Source& source,
                         std::vector<OptionProblem>& problems);
  /// The same of the options of a plugin.
  static OptionSet build(const lemonade_plugin_t& plugin, const config::PluginChoice& choice,
                         std::vector<OptionProblem>& problems);

  OptionSet(OptionSet&&) = default;
  OptionSet& operator=(OptionSet&&) = default;

  /// What create() gets; valid as long as the set stays where it is.
  lemonade_options_t get() const noexcept;

 private:
  OptionSet() = default;

  std::vector<lemonade_option_value_t> values_;
  std::deque<std::string> texts_;  // a deque keeps its strings where they are
};

}  // namespace lemonade::plugin
