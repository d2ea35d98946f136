// SPDX-License-Identifier: MIT
//
// A health checker that believes what a backend says of itself: one that greets with "weary" is degraded.
#include <lemonade/sdk/health_checker.hpp>

#include <string_view>

namespace {

class Weary : public lemonade::sdk::HealthChecker {
 public:
  class Probe {
   public:
    Probe(const Weary&, const lemonade_probe_target_t&) {}
    lemonade::sdk::Verdict on(const lemonade_probe_event_t& event) {
      if (event.type == LEMONADE_PROBE_CONNECTED) return lemonade::sdk::wait();
      if (event.type != LEMONADE_PROBE_DATA) return lemonade::sdk::fail(event);
      const bool weary = lemonade::sdk::view(event.data).starts_with("weary");
      return weary ? lemonade::sdk::degraded("half of its disks are gone") : lemonade::sdk::pass();
    }
  };
};

}  // namespace

LEMONADE_HEALTH_CHECKER(Weary, .id = "com.example.weary", .version = "1.0.0", .name = "Weary", .vendor = "Example",
                        .doc = "Passes, and calls degraded what greets with \"weary\".")
