// SPDX-License-Identifier: MIT
//
// A call that was broken off, in the words of the log. Not for handlers: this allocates.
#pragma once

#include "plugin/fault.h"
#include "plugin/guard.h"

#include <cstdint>
#include <string>

namespace lemonade::plugin {

struct BrokenCall {
  InstanceInfo info;
  const Guard* guard = nullptr;  ///< of the instance; valid as long as the process lives
  Function function = Function::kCreate;
  FaultKind kind = FaultKind::kNone;
  std::string thread;
  std::string what;       ///< "SIGSEGV at 0x8", "hang, after 2.0 s", "exception std::runtime_error", "exit()"
  std::string place;      ///< in the plugin's image: "evil.so+0x1139"; "" where it was not in there
  std::string backtrace;  ///< the innermost first: "evil.so+0x1139 < lemonade+0x20f10"
};

/// Looks the frames up, whose images are mapped.
BrokenCall describe(const Fault& fault, const std::string& thread);

}  // namespace lemonade::plugin
