// SPDX-License-Identifier: MIT
//
// What a balancer was doing when it died, as far as the memory that it shares tells (base/fault_trace.h).
#pragma once

#include "base/fault_trace.h"
#include "base/fd.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lemonade::supervisor {

/// A call of a plugin that was under way.
struct PluginCall {
  std::string id, version;
  std::string hash;  ///< of the file's content
  std::string file;
  std::string function;
  std::string thread;
};

/// The fault that ended it, in its own words.
struct FatalFault {
  std::optional<PluginCall> call;  ///< nothing: no call of a plugin was under way in the thread
  int signal = 0;
  std::optional<std::uint64_t> offset;  ///< of the instruction in the plugin's image
  std::string note;
};

struct LastMoments {
  std::optional<FatalFault> fault;  ///< nothing: it could not say, as after SIGKILL
  std::vector<PluginCall> running;  ///< in its threads
};

/// The memory that one balancer shares with its supervisor.
class TraceMemory {
 public:
  /// Owns nothing where there is no memory for it: then nothing will be known.
  static TraceMemory make() noexcept;

  int fd() const noexcept { return memory_.get(); }
  /// Once the process is dead. What is there may be anything: text is cut and made printable, numbers are checked.
  LastMoments read() const;

 private:
  Fd memory_;
};

}  // namespace lemonade::supervisor
