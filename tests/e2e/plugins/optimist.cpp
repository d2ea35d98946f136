// SPDX-License-Identifier: MIT
//
// A health checker for which every backend is alive, so that a test alone decides what a backend does.
#include <lemonade/sdk/health_checker.hpp>

namespace {

class Optimist : public lemonade::sdk::HealthChecker {
 public:
  class Probe {
   public:
    Probe(const Optimist&, const lemonade_probe_target_t&) {}
    lemonade::sdk::Verdict on(const lemonade_probe_event_t&) { return lemonade::sdk::pass(); }
  };
};

}  // namespace

LEMONADE_HEALTH_CHECKER(Optimist, .id = "com.example.optimist", .version = "1.0.0", .name = "Optimist",
                        .vendor = "Example", .doc = "Passes whatever happens.")
