// SPDX-License-Identifier: MIT
//
// A health checker that throws where it should judge, as one does that has a fault of its own: every second check
// cannot even begin.
#include <lemonade/sdk/health_checker.hpp>

#include <atomic>
#include <stdexcept>

namespace {

class Clumsy : public lemonade::sdk::HealthChecker {
 public:
  class Probe {
   public:
    Probe(const Clumsy& clumsy, const lemonade_probe_target_t&) {
      if (clumsy.begun_.fetch_add(1) % 2 == 1) throw std::runtime_error("cannot begin");
    }
    lemonade::sdk::Verdict on(const lemonade_probe_event_t&) { throw std::runtime_error("cannot judge"); }
  };

 private:
  mutable std::atomic<unsigned> begun_{0};
};

}  // namespace

LEMONADE_HEALTH_CHECKER(Clumsy, .id = "com.example.clumsy", .version = "1.0.0", .name = "Clumsy", .vendor = "Example",
                        .doc = "Throws whatever happens.")
