// SPDX-License-Identifier: MIT
//
// TCP check: a backend that accepts a connection is alive.
#include <lemonade/sdk/health_checker.hpp>

namespace {

class Tcp : public lemonade::sdk::HealthChecker {
 public:
  class Probe {
   public:
    Probe(const Tcp&, const lemonade_probe_target_t&) {}
    lemonade::sdk::Verdict on(const lemonade_probe_event_t& event) {
      return event.type == LEMONADE_PROBE_CONNECTED ? lemonade::sdk::pass() : lemonade::sdk::fail(event);
    }
  };
};

}  // namespace

LEMONADE_HEALTH_CHECKER(Tcp, .id = "tcp", .version = "1.0.0", .name = "TCP connect", .vendor = "Lemonade",
                        .doc = "Passes when the backend accepts a connection within the timeout.",
                        .flags = LEMONADE_FLAG_UNLOAD_SAFE)
