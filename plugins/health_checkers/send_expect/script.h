// SPDX-License-Identifier: MIT
//
// The script of a send_expect check: what to say and what to hear, as steps that each end with something heard.
//
//   expect "220"                  waits for a text; several are separated by "or"
//   expect_not "554"              fails the check where the text comes before what the next expect waits for
//   send "QUIT\r\n"               escapes: \r \n \t \0 \\ \" \xHH
//   expect "221" or "250"
//
// A plain value.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

class Script {
 public:
  struct Step {
    std::string send;                 ///< first, where not empty
    std::vector<std::string> wanted;  ///< at least one, none empty: the first of them to arrive ends the step
    std::vector<std::string> refused;
    std::size_t line = 0;  ///< of the expect
  };

  /// At least one step. Throws sdk::OptionError for the option "script", which names the line and the mend.
  static Script parse(std::string_view text);

  const std::vector<Step>& steps() const noexcept { return steps_; }

 private:
  std::vector<Step> steps_;
};
