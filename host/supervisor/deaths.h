// SPDX-License-Identifier: MIT
//
// What follows from the deaths of balancers: which plugin is to blame, and whether to go on. Decides by what it is told
// alone; the supervisor acts on it.
#pragma once

#include "supervisor/last_moments.h"
#include "supervisor/quarantined.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace lemonade::supervisor {

class Deaths {
 public:
  static constexpr std::uint64_t kWindowNs = 60'000'000'000;
  static constexpr std::size_t kMost = 5;  ///< so many within the window are too many

  struct Verdict {
    std::vector<Quarantined> blamed;
    bool too_many = false;
  };

  /// A balancer has died at now_ns, which does not go back; how: as endingOf() has it. To blame is the plugin whose
  /// call could not be left when it faulted; where the balancer had no last word, each that was running then and was
  /// running at another death within a minute, too.
  Verdict note(std::uint64_t now_ns, const std::string& how, const LastMoments& moments);

  /// How many there were ever, and how the last one was; "" where there was none.
  std::uint64_t count() const noexcept { return count_; }
  const std::string& last() const noexcept { return last_; }

 private:
  struct Death {
    std::uint64_t at_ns;
    std::vector<std::string> suspects;  // hashes of the plugins that were running
  };

  std::deque<Death> deaths_;  // of the last minute
  std::uint64_t count_ = 0;
  std::string last_;
};

/// A fault, for people: "pick faulted on worker 1 by signal 11 (SIGSEGV) at +0x11f3".
std::string describe(const FatalFault& fault);

/// "signal 11 (SIGSEGV)".
std::string signalText(int signal);

}  // namespace lemonade::supervisor
