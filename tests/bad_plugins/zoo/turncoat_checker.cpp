// SPDX-License-Identifier: MIT
//
// A health checker that passes whoever can be connected to, and behaves at first. Then it does one thing wrong.
#include "turn.h"

#include <lemonade/sdk/health_checker.hpp>

namespace zoo {

namespace sdk = lemonade::sdk;

class TurncoatChecker : public sdk::HealthChecker {
 public:
  class Probe {
   public:
    Probe(const TurncoatChecker& checker, const lemonade_probe_target_t&) : made_ns_(checker.made_ns_) {}
    sdk::Verdict on(const lemonade_probe_event_t& event) {
      if (monotonicNs() - made_ns_ >= kTurnsAfter) {
        if (does("turn_and_crash_in_probe")) crash();
        if (does("turn_and_throw_in_probe")) throwOut();
        if (does("turn_and_spin_in_probe")) spin();
      }
      return event.type == LEMONADE_PROBE_CONNECTED ? sdk::pass() : sdk::fail(event);
    }

   private:
    const std::uint64_t made_ns_;
  };

 private:
  const std::uint64_t made_ns_ = monotonicNs();
};

}  // namespace zoo

LEMONADE_HEALTH_CHECKER(zoo::TurncoatChecker, .id = "com.example.turncoat", .version = "1.0.0", .name = "Turncoat",
                        .vendor = "Example", .doc = "Behaves for four seconds.")
