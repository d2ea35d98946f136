// SPDX-License-Identifier: MIT
//
// Runs what runs a plugin's code in a child process with a time limit, and tells how it ended. The child is a fork: the
// parent has one thread and has never run code of a plugin. What the child has to say it writes to memory that both
// share, so that it gets through whatever becomes of the child.
#pragma once

#include "base/clock.h"
#include "validate/check.h"

#include <functional>
#include <string>
#include <string_view>

namespace lemonade::validate {

/// Thrown inside a check that found something wrong; becomes Grade::kFail.
struct Fault {
  std::string found;
  std::string mend = {};  ///< "": that of the check
};

/// Throws a Fault unless it holds.
inline void require(bool holds, const std::string& found, const std::string& mend = {}) {
  if (!holds) throw Fault{found, mend};
}

/// Says what the child is about to do, in words that follow "while", for the case that it never comes back. The text
/// must be a literal. Any thread of the child.
void stage(const char* what) noexcept;
/// Says how far it has come in that, in words that follow the stage: "after 5,000 picks". Stays until the next one.
void progress(const std::string& text) noexcept;

/// What the plugin wrote on standard output and standard error so far. In the child.
std::string writtenSoFar();

/// Ends the child at once with this outcome; safe in a signal handler. In the child.
[[noreturn]] void endWith(Grade status, const char* found, const char* mend = "") noexcept;

/// Hands text of any length to the parent. In the child.
void tell(std::string_view text);

struct Ending {
  Outcome outcome;
  std::string exception;  ///< what left the plugin, and when; "" where none did
  std::string told;       ///< what the child handed over
};

/// Runs work in a child that is killed after limit. Where the child crashes or hangs, the mend is of that.
Ending runIsolated(const std::function<Outcome()>& work, Duration limit);

}  // namespace lemonade::validate
