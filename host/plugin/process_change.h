// SPDX-License-Identifier: MIT
//
// What a plugin has done to the process that runs it, in words.
#pragma once

#include <string>

namespace lemonade::plugin {

struct ProcessChange {
  std::string text;  ///< words that follow its name: "changes the locale from C to de_DE when it is loaded"
  std::string mend;  ///< what its author does about it
};

}  // namespace lemonade::plugin
