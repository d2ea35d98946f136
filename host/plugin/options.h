// SPDX-License-Identifier: MIT
//
// Turns the options an operator wrote into what a plugin's schema promises it: known keys only, of the right type, in
// range, defaults filled in.
#pragma once

#include "config/config.h"

#include <lemonade/plugin.h>

#include <deque>
#include <string>
#include <vector>

namespace lemonade::plugin {

/// One thing wrong with the options, and where it was written.
struct OptionProblem {
  config::Source source;
  std::string text;  ///< what, and the mend
};

/// Option values in the order of a schema, with the text they borrow. Move only; the image must outlive it.
class OptionSet {
 public:
  /// Checks options against a plugin's schema; problems get every finding, and the set is of no use where there is one.
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
