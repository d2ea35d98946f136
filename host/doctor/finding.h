// SPDX-License-Identifier: MIT
//
// What the doctor found: plain data, one line of the report each, good news included.
#pragma once

#include <string>
#include <vector>

namespace lemonade::doctor {

enum class Level {
  kOk,
  kWarning,  ///< it will run; under load, or before long, this hurts
  kProblem,  ///< clients are hurt, or the balancer does not start
};

struct Finding {
  Level level = Level::kOk;
  std::string topic;   ///< a word: "names", "ports"
  std::string what;    ///< a sentence without its full stop
  std::string where;   ///< the key, or the file with its line; "": the machine
  std::string mend{};  ///< a command, a line of the configuration or what to look at; "" of what is ok
};

using Findings = std::vector<Finding>;

}  // namespace lemonade::doctor
