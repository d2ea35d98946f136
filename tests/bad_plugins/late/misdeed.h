// SPDX-License-Identifier: MIT
//
// What a plugin does that behaves until a file appears: no test has to wait for a time to pass.
#pragma once

#include "../misdeed.h"

#include <lemonade/sdk/plugin.hpp>

#include <unistd.h>

#include <string>
#include <string_view>

namespace late {

class Misdeed {
 public:
  /// The rows of its options.
  static constexpr lemonade_option_t kWhen =
      lemonade::sdk::option("when", LEMONADE_OPTION_STRING, "", "The file that turns it bad.");
  static constexpr lemonade_option_t kWhat =
      lemonade::sdk::option("misdeed", LEMONADE_OPTION_STRING, "", "What it does then.");

  explicit Misdeed(const lemonade::sdk::Options& options)
      : when_(options.text("when")), what_(options.text("misdeed")) {}

  /// Does it, once the file is there.
  void act() const {
    if (when_.empty() || ::access(when_.c_str(), F_OK) != 0) return;
    bad::misbehave(what_);
  }

 private:
  const std::string when_;
  const std::string what_;
};

}  // namespace late
