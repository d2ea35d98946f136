// SPDX-License-Identifier: MIT
//
// A checker that behaves at first and then does not.
#include "misdeed.h"

#include <lemonade/sdk/health_checker.hpp>

namespace {

using namespace lemonade::sdk;

class LateChecker : public HealthChecker {
 public:
  static constexpr lemonade_option_t kOptions[] = {late::Misdeed::kWhen, late::Misdeed::kWhat};

  explicit LateChecker(const Options& options) : misdeed_(options) {}

  class Probe {
   public:
    Probe(const LateChecker& checker, const lemonade_probe_target_t&) : checker_(checker) {}
    Verdict on(const lemonade_probe_event_t& event) {
      checker_.misdeed_.act();
      return event.type == LEMONADE_PROBE_CONNECTED ? pass() : fail(event);
    }

   private:
    const LateChecker& checker_;
  };

 private:
  const late::Misdeed misdeed_;
};

}  // namespace

LEMONADE_HEALTH_CHECKER(LateChecker, .id = "com.example.late_checker", .version = LATE_VERSION, .name = "Late checker",
                        .vendor = "Example", .doc = "Behaves until a file appears.")
